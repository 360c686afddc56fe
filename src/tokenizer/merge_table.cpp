#include "tokenizer/merge_table.h"

#include <algorithm>

namespace hipgpt {

MergeTable::MergeTable(std::span<const Merge> merges)
    : slots_(std::bit_ceil(std::max<size_t>(merges.size() * 2, 2))),
      shift_(64 - std::countr_zero(slots_.size())) {
  for (const Merge& merge : merges) {
    size_t slot = first_slot(merge.left, merge.right);
    while (slots_[slot].rank != kNone &&
           !(slots_[slot].left == merge.left && slots_[slot].right == merge.right)) {
      slot = (slot + 1) & (slots_.size() - 1);
    }
    slots_[slot] = {merge.left, merge.right, static_cast<uint32_t>(results_.size())};
    results_.push_back(merge.result);
  }
}

}  // namespace hipgpt

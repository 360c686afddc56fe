#include "text.h"

#include <fmt/format.h>

#include <algorithm>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "error.h"
#include "util/mapped_file.h"

namespace hipgpt {

Text::Text(std::string_view document) : memory_(document), bytes_(document.size()) {}

Text::Text(std::vector<std::string> paths) : paths_(std::move(paths)), bytes_(0) {
  for (const std::string& path : paths_) {
    const size_t size = MappedFile(path, MappedFile::Access::kSequential).bytes().size();
    if (size == 0) throw Error(fmt::format("{}: is empty; training needs text", path));
    sizes_.push_back(size);
    bytes_ += size;
  }
}

void Text::Document::forget(std::string_view piece) const {
  if (mapping) static_cast<const MappedFile*>(mapping.get())->forget(piece);
}

Text::Document Text::document(size_t i) const {
  if (paths_.empty()) return {memory_, nullptr};
  auto file = std::make_shared<const MappedFile>(paths_[i], MappedFile::Access::kSequential);
  if (file->bytes().size() != sizes_[i]) {
    throw Error(fmt::format("{}: became {} while it was in use; run again when nothing changes it", paths_[i],
                            file->bytes().size() < sizes_[i] ? "shorter" : "longer"));
  }
  return {file->text(), file};
}

Text::Facts Text::read() const {
  constexpr size_t kPiece = size_t{1} << 20;
  XXH3_state_t hash;
  XXH3_64bits_reset(&hash);
  Facts facts{};
  for (size_t i = 0; i < num_documents(); ++i) {
    const Document document = this->document(i);
    const std::string_view bytes = document.bytes;
    // Each piece is small enough that the second read finds it in the cache. A piece may end within
    // <|endoftext|>.
    for (size_t begin = 0; begin < bytes.size(); begin += kPiece) {
      const std::string_view piece = bytes.substr(begin, kPiece);
      XXH3_64bits_update(&hash, piece.data(), piece.size());
      const auto with_end = bytes.substr(begin, kPiece + kEndOfText.size() - 1);
      if (!facts.has_end_of_text) facts.has_end_of_text = with_end.find(kEndOfText) != with_end.npos;
      document.forget(piece);
    }
    const uint64_t size = bytes.size();
    if (num_documents() > 1) XXH3_64bits_update(&hash, &size, sizeof size);
  }
  facts.hash = XXH3_64bits_digest(&hash);
  return facts;
}

}  // namespace hipgpt

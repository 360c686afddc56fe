// A text in pieces, for threads to share out.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "text.h"

namespace hipgpt {

struct TextPiece {
  std::string_view bytes;
  bool after_document;      // it is the first of a document, and not of the first document
  Text::Document document;  // that it lies in

  /// To be called for the pieces of a document in their order.
  void forget() const { document.forget(bytes); }
};

/// Takes pieces off the front of a text, one document after the other. `cut(bytes)` says how many of a
/// document's remaining bytes the next piece has; an empty document has no piece.
template <typename Cut>
class TextPieces {
 public:
  TextPieces(const Text& text, Cut cut) : text_(text), cut_(cut) {}

  /// False when none is left.
  bool next(TextPiece& piece) {
    piece.after_document = false;
    while (rest_.bytes.empty()) {
      if (opened_ == text_.num_documents()) return false;
      piece.after_document = opened_ > 0;
      rest_ = text_.document(opened_++);
    }
    piece.document = rest_;
    piece.bytes = rest_.bytes.substr(0, cut_(rest_.bytes));
    rest_.bytes.remove_prefix(piece.bytes.size());
    return true;
  }

 private:
  const Text& text_;
  Cut cut_;
  Text::Document rest_{};
  size_t opened_ = 0;
};

}  // namespace hipgpt

// Splits a text into pieces that threads process in parallel.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "text.h"

namespace hipgpt {

struct TextPiece {
  std::string_view bytes;
  bool after_document;      // whether it starts a document other than the first
  Text::Document document;  // the document it belongs to

  /// Must be called for a document's pieces in order.
  void forget() const { document.forget(bytes); }
};

/// Takes pieces off the front of a text, document by document. `cut(bytes)` returns how many of a document's
/// remaining bytes the next piece takes. An empty document yields no piece.
template <typename Cut>
class TextPieces {
 public:
  TextPieces(const Text& text, Cut cut) : text_(text), cut_(cut) {}

  /// Returns false when no piece is left.
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

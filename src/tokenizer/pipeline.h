// What a vocabulary asks to be done besides its merges.
#pragma once

#include "tokenizer/normalizer.h"
#include "tokenizer/pretokenizer.h"

namespace hipgpt {

/// The default is GPT-2's.
struct Pipeline {
  Normalization normalization = Normalization::kNone;
  const Pretokenizer* pretokenizer = &kGpt2Words;
  bool ignore_merges = false;  // a word that is a token as a whole becomes that token
  bool has_template =
      false;  // the file has a template that adds tokens to each text, which encode() does not

  /// Whether texts are encoded as GPT-2 encodes them, with another vocabulary perhaps.
  bool is_gpt2() const {
    return normalization == Normalization::kNone && pretokenizer == &kGpt2Words && !ignore_merges;
  }
};

}  // namespace hipgpt

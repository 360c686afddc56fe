// Text to token ids and back: byte-level byte-pair encoding, as GPT-2 does it.
// src/tokenizer/README.md explains it, src/tokenizer/details.md has the details.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text.h"

namespace hipgpt {

/// A vocabulary and its merges. A Tokenizer is immutable, so any number of threads may use it. Copies share
/// the tables.
class Tokenizer {
 public:
  struct TrainOptions {
    int vocab_size = 5000;                    // includes special tokens and the 256 bytes
    std::vector<std::string> special_tokens;  // get the ids 0, 1, ...
    int threads = 0;                          // 0: all
    std::function<void(std::string_view stage, double fraction)> progress;
  };
  using IdSink = std::function<void(std::span<const int32_t>)>;
  using Progress = std::function<void(double fraction)>;

  /// Learns the same merges as Hugging Face's BpeTrainer does from files with these documents. Documents may
  /// contain any bytes. A text with too few different pairs gives a smaller vocabulary.
  static Tokenizer train(const Text& text, const TrainOptions& options);
  static Tokenizer train(std::string_view text, const TrainOptions& options) {
    return train(Text(text), options);
  }

  /// Reads a tokenizer.json, ours or Hugging Face's, a vocabulary of tiktoken's, or a folder that has a
  /// tokenizer.json or the two files of GPT-2. Throws Error for anything that is not supported.
  static Tokenizer load(const std::string& path);
  static Tokenizer from_json(std::string_view json, const std::string& name_for_errors);

  /// Reads a vocabulary of tiktoken's. Its name must say which one it is: r50k, p50k, cl100k, o200k, qwen or
  /// llama3. The special tokens are those of the published file, or none if this one has another size.
  static Tokenizer from_tiktoken(std::string_view text, const std::string& path);

  /// Reads the two files that OpenAI published with GPT-2 (encoder.json and vocab.bpe; vocab.json and
  /// merges.txt are the same). Their special token is <|endoftext|>. Tokens that were added since are read
  /// from added_tokens.json or tokenizer_config.json in `folder`, unless it is empty.
  static Tokenizer from_gpt2_files(const std::string& vocab_path, const std::string& merges_path,
                                   const std::string& folder = "");

  /// The text of a tokenizer.json; the caller writes the file.
  std::string to_json() const;

  /// The texts of the two files of GPT-2. Returns nullopt if texts are not split and merged as GPT-2 does,
  /// since these files cannot say so.
  struct Gpt2Files {
    std::string vocab, merges;
  };
  std::optional<Gpt2Files> to_gpt2_files() const;

  /// Whether the file has a template that adds tokens to every text, such as <|begin_of_text|> before it.
  /// encode() does not add them, and to_json() writes no template.
  bool has_template() const;

  /// The number of ids, which are 0 .. vocab_size() - 1. A few of them may belong to no token, as in
  /// cl100k_base; these have no bytes.
  int vocab_size() const;

  /// Returns the ids of any bytes. Without allow_special, a special token in the text is encoded as ordinary
  /// text.
  std::vector<int32_t> encode(std::string_view text, bool allow_special = true) const;

  /// Passes the same ids to `sink`, in order and in pieces, for a text whose ids would not fit in memory.
  /// <|endoftext|> separates documents; throws Error if the vocabulary lacks it. One thread at a time calls
  /// `sink` and `progress`, but not always the same thread. threads = 0 means all.
  void encode(const Text& text, int threads, const IdSink& sink, const Progress& progress = {}) const;
  void encode(std::string_view text, int threads, const IdSink& sink, const Progress& progress = {}) const {
    encode(Text(text), threads, sink, progress);
  }

  /// Returns exactly the bytes that were encoded. A special token gives its text. There are two exceptions. A
  /// vocabulary with a normalizer gives the normalized text. And a file of Hugging Face's may add a text,
  /// such as "é", whose letters spell another token's bytes: both have the same id, which gives those bytes.
  /// Throws Error for an id out of range.
  std::string decode(std::span<const int32_t> ids) const;

  /// The bytes of one token, valid while any copy of this tokenizer lives. Throws Error for an id out of
  /// range.
  std::string_view token_bytes(int32_t id) const;

  struct MergeStep {
    int32_t rank;  ///< 0 for the merge that was learned first
    size_t at;     ///< the position of the left piece among the pieces before this step
  };

  /// Returns the merges that make this token of its bytes, in the order in which they apply. There are none
  /// for a byte, a special token, a token of over 256 bytes, and one that its bytes do not merge to. Throws
  /// Error for an id out of range.
  std::vector<MergeStep> merges_of(int32_t id) const;

  std::optional<int32_t> special_token(std::string_view text) const;

  /// Returns this vocabulary with one more special token. Its id is vocab_size(), or that of the ordinary token
  /// with this text, if there is one.
  Tokenizer with_special_token(const std::string& text) const;

  /// Whether the vocabulary marks this token as special. Hugging Face's tokenizers may also find tokens that
  /// are not: words that were added, which are part of a text.
  bool is_marked_special(int32_t id) const;

  /// A 64-bit hash of the vocabulary, the merges and the special tokens. Tokenizers that behave the same have
  /// the same hash.
  uint64_t hash() const;

 private:
  struct Tables;  // src/tokenizer/tables.h

  explicit Tokenizer(std::shared_ptr<const Tables> tables);
  static Tokenizer load_folder(const std::filesystem::path& folder);

  std::shared_ptr<const Tables> tables_;
};

}  // namespace hipgpt

// Text to token ids and back: byte-level byte-pair encoding, as GPT-2 does it.
// src/tokenizer/README.md explains it.
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

/// A vocabulary and its merges. It never changes, so any number of threads may use one; copies share it.
class Tokenizer {
 public:
  struct TrainOptions {
    int vocab_size = 5000;                    // special tokens and the 256 bytes included
    std::vector<std::string> special_tokens;  // they get the ids 0, 1, ...
    int threads = 0;                          // 0: all
    std::function<void(std::string_view stage, double fraction)> progress;
  };
  using IdSink = std::function<void(std::span<const int32_t>)>;
  using Progress = std::function<void(double fraction)>;

  /// Learns the merges that Hugging Face's BpeTrainer learns from files with these documents. They may be any
  /// bytes. A text that has too few different pairs gives a smaller vocabulary.
  static Tokenizer train(const Text& text, const TrainOptions& options);
  static Tokenizer train(std::string_view text, const TrainOptions& options) {
    return train(Text(text), options);
  }

  /// Reads a tokenizer.json, ours or Hugging Face's, or a folder with one or with the two files of GPT-2.
  /// Anything in it that is not supported is an Error.
  static Tokenizer load(const std::string& path);
  static Tokenizer from_json(std::string_view json, const std::string& name_for_errors);

  /// Reads the two files that OpenAI published with GPT-2 (encoder.json and vocab.bpe; vocab.json and
  /// merges.txt are the same). <|endoftext|> is their special token.
  static Tokenizer from_gpt2_files(const std::string& vocab_path, const std::string& merges_path);

  /// The text of a tokenizer.json. The caller writes it.
  std::string to_json() const;

  /// The texts of those two files.
  struct Gpt2Files {
    std::string vocab, merges;
  };
  Gpt2Files to_gpt2_files() const;

  /// The number of ids: they are 0 .. vocab_size() - 1.
  int vocab_size() const;

  /// The ids of any bytes. Without allow_special, a special token in the text is text like any other.
  std::vector<int32_t> encode(std::string_view text, bool allow_special = true) const;

  /// The same ids, in order and in pieces: for a text that is larger than the memory its ids would take.
  /// Between two documents comes <|endoftext|>; a vocabulary that lacks it is an Error. `sink` and `progress`
  /// are called by one thread at a time, not always the same. threads = 0: all.
  void encode(const Text& text, int threads, const IdSink& sink, const Progress& progress = {}) const;
  void encode(std::string_view text, int threads, const IdSink& sink, const Progress& progress = {}) const {
    encode(Text(text), threads, sink, progress);
  }

  /// The very bytes that were encoded. A special token gives its text. An id out of range is an Error.
  std::string decode(std::span<const int32_t> ids) const;

  /// The bytes of one token, for as long as some copy of this tokenizer lives. An Error if out of range.
  std::string_view token_bytes(int32_t id) const;

  std::optional<int32_t> special_token(std::string_view text) const;

  /// 64 bits that name the vocabulary, the merges and the special tokens: equal if they do the same.
  uint64_t hash() const;

 private:
  struct Tables;  // src/tokenizer/tables.h

  explicit Tokenizer(std::shared_ptr<const Tables> tables);
  static Tokenizer load_folder(const std::filesystem::path& folder);

  std::shared_ptr<const Tables> tables_;
};

}  // namespace hipgpt

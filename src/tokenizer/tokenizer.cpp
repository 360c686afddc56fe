#include "tokenizer.h"

#include <fmt/format.h>

#include "error.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/parallel.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/tables.h"
#include "tokenizer/word_encoder.h"

namespace hipgpt {
namespace {

/// A piece for one thread: long enough to fill a word cache, short enough that all pieces in
/// flight stay small.
constexpr size_t kPieceBytes = size_t{1} << 19;
constexpr size_t kPiecesPerThread = 4;

SpecialTokens number_specials(const std::vector<std::string>& texts) {
  std::vector<SpecialTokens::Token> tokens;
  for (const std::string& text : texts) tokens.push_back({text, static_cast<int32_t>(tokens.size())});
  return SpecialTokens(std::move(tokens));
}

void encode_with_specials(std::string_view text, const SpecialTokens& specials, WordEncoder& encoder,
                          std::vector<int32_t>& ids) {
  specials.split(
      text, [&](std::string_view piece) { encoder.encode(piece, ids); },
      [&](int32_t id) { ids.push_back(id); });
}

/// Takes a piece off the front of `text`, cut where the whole text's ids are those of its pieces. A text
/// without such places, say one long word, comes in one piece.
std::string_view take_piece(std::string_view& text, const SpecialTokens& specials) {
  size_t end = next_safe_cut(text, kPieceBytes);
  while (end < text.size() && specials.straddles(text, end)) end = next_safe_cut(text, end);
  const std::string_view piece = text.substr(0, end);
  text.remove_prefix(end);
  return piece;
}

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<const Tables> tables) : tables_(std::move(tables)) {}

Tokenizer Tokenizer::train(std::string_view text, const TrainOptions& options) {
  const auto specials = number_specials(options.special_tokens);
  const size_t least = 256 + specials.tokens().size();
  if (options.vocab_size < 0 || static_cast<size_t>(options.vocab_size) < least) {
    throw Error(
        fmt::format("vocabulary size {} is too small: {} is the least, for 256 bytes and {} special tokens",
                    options.vocab_size, least, specials.tokens().size()));
  }
  auto learned = learn_bpe(text, specials, static_cast<uint32_t>(options.vocab_size),
                           thread_count(options.threads), options.progress);
  return Tokenizer(
      std::make_shared<Tables>(std::move(learned.spellings), std::move(learned.merges), specials));
}

int Tokenizer::vocab_size() const {
  return static_cast<int>(tables_->spellings.size());
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool allow_special) const {
  static const SpecialTokens kNoSpecials;
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3);
  WordEncoder encoder(tables_->merge_table, tables_->byte_ids, text.size());
  encode_with_specials(text, allow_special ? tables_->specials : kNoSpecials, encoder, ids);
  return ids;
}

void Tokenizer::encode(std::string_view text, int threads, const IdSink& sink,
                       const Progress& progress) const {
  threads = thread_count(threads);
  const auto total = static_cast<double>(text.size());
  std::vector<WordEncoder> encoders(threads, {tables_->merge_table, tables_->byte_ids, text.size()});
  std::vector<std::vector<int32_t>> ids(kPiecesPerThread * threads);
  std::vector<std::string_view> pieces;
  while (!text.empty()) {
    pieces.clear();
    while (pieces.size() < ids.size() && !text.empty()) pieces.push_back(take_piece(text, tables_->specials));
    parallel_for(pieces.size(), threads, [&](size_t piece, int thread) {
      ids[piece].clear();
      encode_with_specials(pieces[piece], tables_->specials, encoders[thread], ids[piece]);
    });
    for (size_t piece = 0; piece < pieces.size(); ++piece) sink(ids[piece]);
    if (progress) progress(1 - static_cast<double>(text.size()) / total);
  }
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) text += token_bytes(id);
  return text;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  if (id < 0 || id >= vocab_size()) {
    throw Error(fmt::format("token id {} is out of range: this vocabulary has the ids 0 to {}", id,
                            vocab_size() - 1));
  }
  return tables_->token_bytes(static_cast<size_t>(id));
}

std::optional<int32_t> Tokenizer::special_token(std::string_view text) const {
  return tables_->specials.id_of(text);
}

uint64_t Tokenizer::hash() const {
  return tables_->hash;
}

}  // namespace hipgpt

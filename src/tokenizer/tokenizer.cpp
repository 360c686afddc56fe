#include "tokenizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "error.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/tables.h"
#include "tokenizer/text_pieces.h"
#include "tokenizer/word_encoder.h"
#include "util/parallel.h"

namespace hipgpt {
namespace {

/// A piece is large enough to fill a word cache and small enough that all pieces in flight use little memory.
constexpr size_t kPieceBytes = size_t{1} << 19;

/// Merges are listed for tokens of at most this many bytes, because the search for them is quadratic.
constexpr size_t kLongestMerged = 256;

/// A vocabulary file holds special tokens verbatim and all other tokens in GPT-2's byte alphabet. A text such
/// as "Ġthe" would be ambiguous there.
SpecialTokens number_specials(const std::vector<std::string>& texts) {
  std::vector<SpecialTokens::Token> tokens;
  for (const std::string& text : texts) {
    const auto bytes = unspell_bytes(text);
    if (bytes && *bytes != text) {
      throw Error(fmt::format(
          "special token \"{}\" could be mistaken for bytes: use ASCII, as in <|endoftext|>", text));
    }
    tokens.push_back({text, static_cast<int32_t>(tokens.size())});
  }
  return SpecialTokens(std::move(tokens));
}

/// One thread's state.
class TextEncoder {
 public:
  TextEncoder(const Pipeline& pipeline, const BpeModel& model, size_t text_bytes)
      : normalization_(pipeline.normalization), words_(*pipeline.pretokenizer, model, text_bytes) {}

  void encode(std::string_view text, const SpecialTokens& specials, std::vector<int32_t>& ids) {
    specials.split(
        text, [&](std::string_view piece) { return normalized(normalization_, piece, storage_); },
        [&](std::string_view piece) { words_.encode(piece, ids); }, [&](int32_t id) { ids.push_back(id); });
  }

 private:
  Normalization normalization_;
  std::string storage_;  // of the piece at hand, normalized
  WordEncoder words_;
};

/// Returns whether a text has the same ids if it is cut here, given that words end here.
bool is_safe_cut(std::string_view text, size_t cut, const SpecialTokens& specials,
                 Normalization normalization) {
  if (specials.straddles(text, cut)) return false;
  if (normalization == Normalization::kNone) return true;
  // Two characters that stay as they are also stand side by side in a token that begins before the cut and
  // ends after it.
  const size_t left = previous_character(text, cut), right_size = character_at(text, cut).size;
  return normalizes_apart(normalization, text, left, cut) &&
         !specials.any_normalized_contains(text.substr(left, cut + right_size - left));
}

/// Returns the size of a piece at the front of `text`, cut where it does not change the ids. A text without
/// such a place, such as one long word, stays in one piece.
size_t cut_safely(std::string_view text, const SpecialTokens& specials, const Pipeline& pipeline) {
  size_t end = next_safe_cut(*pipeline.pretokenizer, text, kPieceBytes);
  while (end < text.size() && !is_safe_cut(text, end, specials, pipeline.normalization))
    end = next_safe_cut(*pipeline.pretokenizer, text, end);
  return end;
}

struct EncodingJob {
  TextPiece piece;
  std::vector<int32_t> ids;
};

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<const Tables> tables) : tables_(std::move(tables)) {}

Tokenizer Tokenizer::train(const Text& text, const TrainOptions& options) {
  const auto specials = number_specials(options.special_tokens);
  const size_t least = 256 + specials.tokens().size();
  if (options.vocab_size < 0 || static_cast<size_t>(options.vocab_size) < least) {
    throw Error(fmt::format(
        "vocabulary size {} is too small: it must be at least {}, for 256 bytes and {} special tokens",
        options.vocab_size, least, specials.tokens().size()));
  }
  auto learned = learn_bpe(text, specials, static_cast<uint32_t>(options.vocab_size),
                           thread_count(options.threads), options.progress);
  return Tokenizer(
      std::make_shared<Tables>(std::move(learned.spellings), std::move(learned.merges), specials));
}

Tokenizer Tokenizer::with_special_token(const std::string& text) const {
  std::vector<std::string> spellings = tables_->spellings;
  const auto place = std::ranges::find(spellings, text);
  const auto id = static_cast<int32_t>(place - spellings.begin());
  if (place == spellings.end()) spellings.push_back(text);
  std::vector<SpecialTokens::Token> specials = tables_->specials.tokens();
  const auto next = std::ranges::find_if(specials, [id](const auto& token) { return token.id > id; });
  specials.insert(next, {text, id});
  const Pipeline& pipeline = tables_->pipeline;
  return Tokenizer(std::make_shared<Tables>(std::move(spellings), tables_->merges,
                                            SpecialTokens(std::move(specials), pipeline.normalization),
                                            pipeline));
}

int Tokenizer::vocab_size() const {
  return static_cast<int>(tables_->spellings.size());
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool allow_special) const {
  static const SpecialTokens kNoSpecials;
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3);
  TextEncoder encoder(tables_->pipeline, tables_->model, text.size());
  encoder.encode(text, allow_special ? tables_->specials : kNoSpecials, ids);
  return ids;
}

void Tokenizer::encode(const Text& text, int threads, const IdSink& sink, const Progress& progress) const {
  const SpecialTokens& specials = tables_->specials;
  const auto end_of_text = specials.id_of(kEndOfText);
  if (text.num_documents() > 1 && !end_of_text) {
    throw Error(fmt::format("the tokenizer has no {}, which separates the {} documents of the text",
                            kEndOfText, text.num_documents()));
  }
  threads = thread_count(threads);
  const Pipeline& pipeline = tables_->pipeline;
  std::vector<TextEncoder> encoders(threads, {pipeline, tables_->model, text.bytes()});
  TextPieces pieces(text, [&](std::string_view bytes) { return cut_safely(bytes, specials, pipeline); });
  const auto encode_piece = [&](EncodingJob& job, int thread) {
    job.ids.clear();
    if (job.piece.after_document) job.ids.push_back(*end_of_text);
    encoders[thread].encode(job.piece.bytes, specials, job.ids);
  };
  uint64_t done = 0;
  const auto finish = [&](const EncodingJob& job) {
    sink(job.ids);
    job.piece.forget();
    done += job.piece.bytes.size();
    if (progress) progress(static_cast<double>(done) / static_cast<double>(text.bytes()));
  };
  parallel_in_order<EncodingJob>(
      threads, [&](EncodingJob& job) { return pieces.next(job.piece); }, encode_piece, finish);
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

/// Encodes the token's bytes as a word, as WordEncoder does, and notes each merge.
std::vector<Tokenizer::MergeStep> Tokenizer::merges_of(int32_t id) const {
  const std::string_view bytes = token_bytes(id);
  if (bytes.size() > kLongestMerged) return {};
  const MergeTable& merges = tables_->model.merges;
  std::vector<uint32_t> pieces;
  for (const char byte : bytes) pieces.push_back(tables_->model.byte_ids[static_cast<uint8_t>(byte)]);
  std::vector<MergeStep> steps;
  while (pieces.size() > 1) {
    size_t best = 0;
    const auto rank = [&](size_t at) { return merges.rank(pieces[at], pieces[at + 1]); };
    for (size_t at = 1; at + 1 < pieces.size(); ++at) {
      if (rank(at) < rank(best)) best = at;
    }
    if (rank(best) == MergeTable::kNone) return {};
    steps.push_back({static_cast<int32_t>(rank(best)), best});
    pieces[best] = merges.result(rank(best));
    pieces.erase(pieces.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
  return pieces == std::vector{static_cast<uint32_t>(id)} ? steps : std::vector<MergeStep>();
}

std::optional<int32_t> Tokenizer::special_token(std::string_view text) const {
  return tables_->specials.id_of(text);
}

bool Tokenizer::has_template() const {
  return tables_->pipeline.has_template;
}

bool Tokenizer::is_marked_special(int32_t id) const {
  return std::ranges::any_of(tables_->specials.tokens(), [&](const SpecialTokens::Token& token) {
    return token.id == id && token.special;
  });
}

uint64_t Tokenizer::hash() const {
  return tables_->hash;
}

}  // namespace hipgpt

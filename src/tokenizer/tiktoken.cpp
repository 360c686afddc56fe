// Such a file has no list of merges: two neighbours join if their bytes together are a token, lowest rank
// first. README.md in this folder says why each token then has one merge, which recover_merge() finds.
#include "tokenizer/tiktoken.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "error.h"
#include "tokenizer.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/tables.h"
#include "util/name_errors.h"
#include "util/number_text.h"

namespace hipgpt {
namespace {

using Specials = std::vector<SpecialTokens::Token>;

/// The longest tokens of the published files have 128 bytes. The limit bounds the time for a damaged file.
constexpr size_t kMaxTokenBytes = 512;

/// More tokens than any vocabulary has.
constexpr size_t kMaxTokens = size_t{1} << 22;

struct RankedToken {
  std::string bytes;
  uint32_t rank;
};

std::optional<std::string> decode_base64(std::string_view text) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0, count = 0;
  for (const char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == kDigits.npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count >= 8) bytes += static_cast<char>(bits >> (count -= 8));
  }
  return bytes;
}

std::optional<RankedToken> read_line(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == line.npos) return std::nullopt;
  auto bytes = decode_base64(line.substr(0, space));
  uint32_t rank = 0;
  const auto [end, error] = std::from_chars(line.data() + space + 1, line.data() + line.size(), rank);
  if (!bytes || bytes->empty() || error != std::errc() || end != line.data() + line.size())
    return std::nullopt;
  return RankedToken{std::move(*bytes), rank};
}

std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::vector<RankedToken> read_tokens(std::string_view text) {
  std::vector<RankedToken> tokens;
  for (size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = take_line(text);
    if (line.empty()) continue;
    auto token = read_line(line);
    if (!token || token->bytes.size() > kMaxTokenBytes || token->rank >= kMaxTokens) {
      throw Error(
          fmt::format("line {} should be a token of up to {} bytes in base64, a space and a rank below {}",
                      number, kMaxTokenBytes, kMaxTokens));
    }
    tokens.push_back(std::move(*token));
  }
  return tokens;
}

/// Specials with the ids from `first` on.
Specials numbered(int32_t first, const std::vector<std::string>& texts) {
  Specials specials;
  for (const std::string& text : texts) specials.push_back({text, first++});
  return specials;
}

Specials specials_of_llama3() {
  std::vector<std::string> texts = {"<|begin_of_text|>",
                                    "<|end_of_text|>",
                                    "<|reserved_special_token_0|>",
                                    "<|reserved_special_token_1|>",
                                    "<|finetune_right_pad_id|>",
                                    "<|step_id|>",
                                    "<|start_header_id|>",
                                    "<|end_header_id|>",
                                    "<|eom_id|>",
                                    "<|eot_id|>",
                                    "<|python_tag|>",
                                    "<|image|>"};
  for (int i = 2; texts.size() < 256; ++i) texts.push_back(fmt::format("<|reserved_special_token_{}|>", i));
  return numbered(128000, texts);
}

Specials specials_of_qwen() {
  std::vector<std::string> texts = {std::string(kEndOfText), "<|im_start|>", "<|im_end|>"};
  for (int i = 0; i < 205; ++i) texts.push_back(fmt::format("<|extra_{}|>", i));
  return numbered(151643, texts);
}

/// What a published file does not say itself.
struct KnownFile {
  const char* name;  // part of the file's name
  Pipeline pipeline;
  size_t tokens;  // how many the published file has
  Specials specials;
};

std::vector<KnownFile> known_files() {
  const auto rules = [](const Pretokenizer& pretokenizer, Normalization form = Normalization::kNone) {
    return Pipeline{form, &pretokenizer, true, false};
  };
  const std::string end(kEndOfText);
  const KnownFile llama3 = {"llama3", rules(kLlama3Words), 128000, specials_of_llama3()};
  std::vector<KnownFile> files = {
      {"r50k", rules(kGpt2Words), 50256, {{end, 50256}}},
      {"p50k", rules(kGpt2Words), 50280, {{end, 50256}}},
      {"cl100k",
       rules(kCl100kWords),
       100256,
       {{end, 100257},
        {"<|fim_prefix|>", 100258},
        {"<|fim_middle|>", 100259},
        {"<|fim_suffix|>", 100260},
        {"<|endofprompt|>", 100276}}},
      {"o200k", rules(kO200kWords), 199998, {{end, 199999}, {"<|endofprompt|>", 200018}}},
      {"qwen", rules(kQwen2Words, Normalization::kNfc), 151643, specials_of_qwen()},
      llama3};
  for (const char* name : {"llama-3", "llama_3"}) {
    files.push_back(llama3);
    files.back().name = name;
  }
  return files;
}

/// A file is recognised by its name. Meta calls Llama 3's tokenizer.model, as it does files in other formats,
/// so that one must have the right number of tokens too.
KnownFile identify(const std::string& path, size_t tokens) {
  std::string name = std::filesystem::path(path).filename().string();
  std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; });
  for (const KnownFile& file : known_files()) {
    const bool is_llama3 = file.tokens == 128000 && tokens == file.tokens;
    if (name.find(file.name) != name.npos || (name == "tokenizer.model" && is_llama3)) return file;
  }
  throw Error(
      "is a vocabulary of tiktoken's, which does not say how it splits words: give the file a name that "
      "contains r50k, p50k, cl100k, o200k, qwen or llama3");
}

using Ranks = std::unordered_map<std::string_view, uint32_t>;

/// Merges the bytes of a token until two parts are left and returns these two. Returns nullopt if they do not
/// all merge; the token then is only ever a whole word.
std::optional<Merge> recover_merge(std::string_view token, const Ranks& ranks) {
  std::vector<size_t> begins(token.size() + 1);  // of the parts, then the end
  for (size_t i = 0; i < begins.size(); ++i) begins[i] = i;
  const auto rank_of = [&](size_t first, size_t parts) {
    const auto found = ranks.find(token.substr(begins[first], begins[first + parts] - begins[first]));
    return found == ranks.end() ? MergeTable::kNone : found->second;
  };
  std::vector<uint32_t> pair_ranks;  // of part i and the next one
  for (size_t i = 0; i + 1 < token.size(); ++i) pair_ranks.push_back(rank_of(i, 2));
  while (pair_ranks.size() > 1) {
    const auto lowest = std::ranges::min_element(pair_ranks);
    if (*lowest == MergeTable::kNone) return std::nullopt;
    const size_t at = static_cast<size_t>(lowest - pair_ranks.begin());
    begins.erase(begins.begin() + static_cast<ptrdiff_t>(at) + 1);
    pair_ranks.erase(lowest);
    if (at > 0) pair_ranks[at - 1] = rank_of(at - 1, 2);
    if (at < pair_ranks.size()) pair_ranks[at] = rank_of(at, 2);
  }
  return Merge{rank_of(0, 1), rank_of(1, 1), rank_of(0, 2)};
}

std::vector<Merge> recover_merges(const std::vector<RankedToken>& tokens) {
  Ranks ranks;
  for (const RankedToken& token : tokens) {
    if (!ranks.emplace(token.bytes, token.rank).second)
      throw Error(fmt::format("rank {} repeats an earlier token", token.rank));
  }
  std::vector<Merge> merges;
  for (const RankedToken& token : tokens) {
    if (token.bytes.size() < 2) continue;
    if (const auto merge = recover_merge(token.bytes, ranks)) merges.push_back(*merge);
  }
  std::ranges::sort(merges, {}, &Merge::result);
  return merges;
}

/// Returns the spelling of each id. An id that no token has gets an empty one, as that below the special
/// tokens of cl100k_base.
std::vector<std::string> spell(const std::vector<RankedToken>& tokens, const Specials& specials) {
  size_t size = 0;
  for (const RankedToken& token : tokens) size = std::max<size_t>(size, token.rank + 1);
  const size_t ranks = size;
  for (const auto& special : specials) size = std::max(size, static_cast<size_t>(special.id) + 1);
  std::vector<std::string> spellings(size);
  for (const RankedToken& token : tokens) {
    std::string& spelling = spellings[token.rank];
    if (!spelling.empty()) throw Error(fmt::format("two tokens have rank {}", token.rank));
    spelling = spell_bytes(token.bytes);
  }
  for (const auto& special : specials) spellings[static_cast<size_t>(special.id)] = special.text;
  const auto unused = std::find(spellings.begin(), spellings.begin() + static_cast<ptrdiff_t>(ranks), "");
  if (unused != spellings.begin() + static_cast<ptrdiff_t>(ranks)) {
    throw Error(fmt::format("no token has rank {}, but {} have ranks up to {}", unused - spellings.begin(),
                            counted(tokens.size(), "token"), ranks - 1));
  }
  return spellings;
}

}  // namespace

bool is_tiktoken(std::string_view text) {
  return read_line(take_line(text)).has_value();
}

Tokenizer Tokenizer::from_tiktoken(std::string_view text, const std::string& path) {
  return name_errors(path, [&] {
    const std::vector<RankedToken> tokens = read_tokens(text);
    const KnownFile known = identify(path, tokens.size());
    // A file of another size is another vocabulary for the same words.
    Specials specials = tokens.size() == known.tokens ? known.specials : Specials();
    auto spellings = spell(tokens, specials);
    return Tokenizer(std::make_shared<Tables>(std::move(spellings), recover_merges(tokens),
                                              SpecialTokens(std::move(specials)), known.pipeline));
  });
}

}  // namespace hipgpt

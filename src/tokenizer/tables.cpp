#include "tokenizer/tables.h"

#include <fmt/format.h>

#include <map>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "error.h"
#include "tokenizer/byte_alphabet.h"

namespace hipgpt {
namespace {

/// A special token's bytes are its text, unless words can contain the token too. That is so if a text such as
/// "é" was added, which spells the byte 0xE9: the library gives both the same id and decodes it to the byte.
std::vector<std::string> all_token_bytes(const std::vector<std::string>& spellings,
                                         const std::vector<Merge>& merges, const SpecialTokens& specials) {
  std::vector<bool> merged(spellings.size());
  for (const Merge& merge : merges) merged[merge.result] = true;
  std::vector<std::string> tokens;
  for (const std::string& spelling : spellings) {
    if (spelling.empty()) {
      tokens.emplace_back();
      continue;
    }
    auto bytes = unspell_bytes(spelling);
    const bool in_words = bytes && (bytes->size() == 1 || merged[tokens.size()]);
    if (!in_words && specials.id_of(spelling) == static_cast<int32_t>(tokens.size())) {
      tokens.push_back(spelling);
    } else if (bytes) {
      tokens.push_back(std::move(*bytes));
    } else {
      throw Error(fmt::format("token \"{}\" (id {}) is neither in GPT-2's byte alphabet nor an added token",
                              spelling, tokens.size()));
    }
  }
  return tokens;
}

std::array<uint32_t, 256> find_byte_ids(const std::vector<std::string>& spellings) {
  std::map<std::string, uint32_t> ids;
  for (uint32_t id = 0; id < spellings.size(); ++id) {
    if (spellings[id].size() <= 2) ids.emplace(spellings[id], id);
  }
  std::array<uint32_t, 256> byte_ids;
  for (int i = 0; i < 256; ++i) {
    const char byte = static_cast<char>(i);
    const auto id = ids.find(spell_bytes({&byte, 1}));
    if (id == ids.end()) {
      throw Error(fmt::format("the vocabulary has no token for byte {:#04x}; it must have all 256 bytes", i));
    }
    byte_ids[i] = id->second;
  }
  return byte_ids;
}

/// Hashes sizes too, so that no two vocabularies give the hash the same bytes.
uint64_t hash_of(const std::vector<std::string>& spellings, const std::vector<Merge>& merges,
                 const SpecialTokens& specials, const Pipeline& pipeline) {
  std::string all;
  const auto append = [&all](std::string_view text) {
    all += fmt::format("{}:", text.size());
    all += text;
  };
  for (const std::string& spelling : spellings) append(spelling);
  for (const Merge& merge : merges) all += fmt::format(",{} {}", merge.left, merge.right);
  for (const auto& special : specials.tokens()) {
    append(special.text);
    if (specials.searches_twice() || pipeline.normalization != Normalization::kNone)
      all += special.normalized ? '2' : '1';
  }
  // GPT-2's adds nothing, so that checkpoints of earlier versions keep their tokenizer.
  if (!pipeline.is_gpt2()) {
    append(pipeline.pretokenizer->name);
    all += fmt::format("{} {}", static_cast<int>(pipeline.normalization), pipeline.ignore_merges);
  }
  return XXH3_64bits(all.data(), all.size());
}

}  // namespace

Tokenizer::Tables::Tables(std::vector<std::string> all_spellings, std::vector<Merge> all_merges,
                          SpecialTokens all_specials, const Pipeline& its_pipeline)
    : spellings(std::move(all_spellings)),
      merges(std::move(all_merges)),
      specials(std::move(all_specials)),
      pipeline(its_pipeline),
      model{MergeTable(merges), find_byte_ids(spellings), {}},
      hash(hash_of(spellings, merges, specials, pipeline)) {
  begins.push_back(0);
  for (const std::string& token : all_token_bytes(spellings, merges, specials)) {
    bytes += token;
    begins.push_back(bytes.size());
  }
  if (pipeline.ignore_merges) add_whole_words();
}

/// Special tokens are found before words.
void Tokenizer::Tables::add_whole_words() {
  model.whole_words.reserve(spellings.size());
  for (uint32_t id = 0; id < spellings.size(); ++id) {
    const bool is_word = !spellings[id].empty() && spell_bytes(token_bytes(id)) == spellings[id];
    if (is_word && !specials.id_of(spellings[id])) model.whole_words.emplace(token_bytes(id), id);
  }
}

}  // namespace hipgpt

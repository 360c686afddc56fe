// Reads and writes tokenizer.json, the format of Hugging Face's library `tokenizers`, and GPT-2's two files.
// README.md in this folder shows the format.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>
#include <unordered_map>

#include "error.h"
#include "tokenizer.h"
#include "tokenizer/json_members.h"
#include "tokenizer/pipeline_json.h"
#include "tokenizer/tables.h"
#include "tokenizer/tiktoken.h"
#include "util/files.h"
#include "util/json.h"
#include "util/lfs_pointer.h"
#include "util/mapped_file.h"
#include "util/name_errors.h"
#include "util/number_text.h"

namespace hipgpt {

namespace fs = std::filesystem;

namespace {

using Json = JsonValue;
using Specials = std::vector<SpecialTokens::Token>;
using Ids = std::unordered_map<std::string, uint32_t>;

uint32_t as_id(const Json& value, const std::string& token) {
  const bool fits = value.is_count() && value.as_count() <= std::numeric_limits<int32_t>::max();
  if (!fits)
    throw Error(fmt::format("the id of token \"{}\" should be a whole number from 0 to 2^31 - 1", token));
  return static_cast<uint32_t>(value.as_count());
}

Ids read_vocab(const Json& vocab) {
  if (!vocab.is_object()) throw Error("\"vocab\" should be an object of tokens and their ids");
  Ids ids;
  for (const auto& [token, id] : vocab.members()) ids.emplace(token, as_id(id, token));
  return ids;
}

SpecialTokens::Token read_added_token(const Json& token, const Json& id) {
  std::string text = string_member(token, "content");
  const uint32_t number = as_id(id, text);
  require_off(token, {"single_word", "lstrip", "rstrip"});
  return {std::move(text), static_cast<int32_t>(number), token["special"] != false,
          bool_member(token, "normalized")};
}

Specials read_added_tokens(const Json& list) {
  Specials tokens;
  if (list.is_null()) return tokens;
  if (!list.is_array()) throw Error("\"added_tokens\" should be a list");
  for (const Json& token : list.items()) tokens.push_back(read_added_token(token, token["id"]));
  return tokens;
}

/// Splits "a b", the older way to write a merge.
std::pair<std::string, std::string> split_merge(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
    throw Error(fmt::format("merge \"{}\" should be two tokens with a space between them", line));
  }
  return {std::string(line.substr(0, space)), std::string(line.substr(space + 1))};
}

std::pair<std::string, std::string> read_merge(const Json& merge) {
  if (merge.is_string()) return split_merge(merge.as_string());
  const bool is_pair = merge.is_array() && merge.items().size() == 2 && merge.items()[0].is_string() &&
                       merge.items()[1].is_string();
  if (!is_pair) throw Error("\"merges\" should be a list of pairs of tokens");
  return {merge.items()[0].as_string(), merge.items()[1].as_string()};
}

uint32_t id_in(const Ids& vocab, const std::string& token, const std::string& left,
               const std::string& right) {
  const auto found = vocab.find(token);
  if (found != vocab.end()) return found->second;
  throw Error(
      fmt::format("merge \"{} {}\" needs token \"{}\", which is not in the vocabulary", left, right, token));
}

Merge find_merge(const Ids& vocab, const std::pair<std::string, std::string>& merge) {
  const std::string &left = merge.first, &right = merge.second;  // clang 14 cannot capture bindings
  const auto id = [&](const std::string& token) { return id_in(vocab, token, left, right); };
  return {id(left), id(right), id(left + right)};
}

std::vector<Merge> read_merges(const Json& list, const Ids& vocab) {
  if (!list.is_array()) throw Error("\"merges\" should be a list");
  std::vector<Merge> merges;
  for (const Json& merge : list.items()) merges.push_back(find_merge(vocab, read_merge(merge)));
  return merges;
}

/// Adds the added tokens, which are either in the vocabulary or have the next ids.
void add_specials(Ids& vocab, Specials& specials) {
  std::ranges::sort(specials, {}, &SpecialTokens::Token::id);
  uint32_t next = 0;
  for (const auto& [token, id] : vocab) next = std::max(next, id + 1);
  for (const auto& special : specials) {
    const auto [found, is_new] = vocab.emplace(special.text, special.id);
    const uint32_t id = found->second;
    if (id != static_cast<uint32_t>(special.id)) {
      throw Error(fmt::format("added token \"{}\" has id {}, but id {} in the vocabulary", special.text,
                              special.id, id));
    }
    if (is_new && id > next) {
      throw Error(
          fmt::format("added token \"{}\" has id {}, but should have {}, the next one: only added "
                      "tokens that are in \"vocab\" may leave ids out",
                      special.text, id, next));
    }
    next = std::max(next, id + 1);
  }
}

/// Each id that has no token costs a model a row, so a file that leaves out more of them is damaged.
constexpr size_t kMaxUnusedIds = 4096;

/// Returns the tokens in order of their ids; `specials` are in this order too. Only below added tokens may
/// ids be left out: 100256 is below those of cl100k_base, for example. Such an id has an empty text.
std::vector<std::string> by_id(const Ids& vocab, const Specials& specials) {
  uint32_t size = 0;
  for (const auto& [token, id] : vocab) {
    size = std::max(size, id + 1);
    if (token.empty()) throw Error(fmt::format("token \"\" (id {}) is not in GPT-2's byte alphabet", id));
    if (id >= vocab.size() + kMaxUnusedIds) {
      throw Error(fmt::format("token \"{}\" has id {}, but the ids of {} should be 0 to {}", token, id,
                              counted(vocab.size(), "token"), vocab.size() - 1));
    }
  }
  std::vector<std::string> spellings(size);
  for (const auto& [token, id] : vocab) {
    if (!spellings[id].empty())
      throw Error(fmt::format("tokens \"{}\" and \"{}\" have the same id {}", token, spellings[id], id));
    spellings[id] = token;
  }
  for (uint32_t id = 1; id < size; ++id) {
    if (spellings[id].empty() || !spellings[id - 1].empty()) continue;
    if (!std::ranges::binary_search(specials, static_cast<int32_t>(id), {}, &SpecialTokens::Token::id)) {
      throw Error(
          fmt::format("no token has id {}, but others have ids up to {}: only below added tokens may "
                      "ids be left out",
                      id - 1, size - 1));
    }
  }
  return spellings;
}

std::vector<Merge> read_merges_file(std::string_view text, const Ids& vocab) {
  refuse_lfs_pointer(text);
  std::vector<Merge> merges;
  for (bool first = true; !text.empty(); first = false) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (first && line.starts_with("#version"))) continue;
    merges.push_back(find_merge(vocab, split_merge(line)));
  }
  return merges;
}

// ---- Files next to the vocabulary

Json read_json_if_there(const fs::path& path) {
  return file_exists(path.string()) ? read_json_object(path.string()) : Json(Json::Object());
}

/// Hugging Face keeps settings next to a tokenizer.json that change how it encodes.
void check_settings(const fs::path& path) {
  const Json settings = read_json_if_there(path);
  name_errors(path.string(), [&] {
    require_off(settings, {"add_prefix_space", "add_bos_token", "add_eos_token"});
  });
}

/// Adds the texts of the tokens that the members of `settings` name, as "eos_token" does.
void collect_special_texts(const Json& settings, std::set<std::string>& texts) {
  const auto add = [&](const Json& token) {
    const Json& text = token.is_object() ? token["content"] : token;
    if (text.is_string()) texts.insert(text.as_string());
  };
  for (const auto& [key, value] : settings.members()) {
    if (key.ends_with("_token")) add(value);
    if (key != "additional_special_tokens" || !value.is_array()) continue;
    for (const Json& token : value.items()) add(token);
  }
}

/// "added_tokens_decoder" of tokenizer_config.json: by id, with all properties of each token.
Specials read_added_tokens_decoder(const Json& decoder) {
  if (!decoder.is_object()) throw Error("\"added_tokens_decoder\" should be an object of ids and tokens");
  Specials tokens;
  for (const auto& [id, token] : decoder.members()) {
    const auto number = try_parse_json(id);
    tokens.push_back(read_added_token(token, number ? *number : Json(id)));
  }
  return tokens;
}

/// Qwen 2 also comes as two files like GPT-2's. The class that reads them knows how it splits texts.
Pipeline pipeline_in_folder(const fs::path& folder) {
  const Json settings = read_json_if_there(folder / "tokenizer_config.json");
  const Json& name = settings["tokenizer_class"];
  if (name != "Qwen2Tokenizer" && name != "Qwen2TokenizerFast") return {};
  return {Normalization::kNfc, &kQwen2Words, false, false};
}

/// The tokens that were added to the two files of GPT-2. Older versions of transformers write only their ids;
/// the other properties are those that it gives them when it reads the files.
Specials added_in_folder(const fs::path& folder) {
  const fs::path settings_path = folder / "tokenizer_config.json", ids_path = folder / "added_tokens.json";
  const Json settings = read_json_if_there(settings_path);
  if (const Json& decoder = settings["added_tokens_decoder"]; !decoder.is_null())
    return name_errors(settings_path.string(), [&] { return read_added_tokens_decoder(decoder); });

  std::set<std::string> special_texts = {std::string(kEndOfText)};
  collect_special_texts(settings, special_texts);
  collect_special_texts(read_json_if_there(folder / "special_tokens_map.json"), special_texts);
  const Json ids = read_json_if_there(ids_path);
  return name_errors(ids_path.string(), [&] {
    Specials tokens;
    for (const auto& [text, id] : ids.members()) {
      const bool special = special_texts.contains(text);
      tokens.push_back({text, static_cast<int32_t>(as_id(id, text)), special, !special});
    }
    return tokens;
  });
}

/// Formats a JSON list or object with one indented item per line.
template <typename Items, typename Line>
std::string lines(const Items& items, int indent, Line&& line) {
  std::string text;
  for (const auto& item : items) {
    text += fmt::format("{}\n{:{}}{}", text.empty() ? "" : ",", "", indent, line(item));
  }
  return text;
}

std::string vocab_lines(const std::vector<std::string>& spellings, int indent) {
  std::vector<uint32_t> ids;
  for (uint32_t id = 0; id < spellings.size(); ++id) {
    if (!spellings[id].empty()) ids.push_back(id);
  }
  return lines(ids, indent,
               [&](uint32_t id) { return fmt::format("{}: {}", json_quoted(spellings[id]), id); });
}

}  // namespace

Tokenizer Tokenizer::load(const std::string& path) {
  if (is_folder(path)) return load_folder(path);
  const MappedFile file(path, MappedFile::Access::kSequential);
  return is_tiktoken(file.text()) ? from_tiktoken(file.text(), path) : from_json(file.text(), path);
}

Tokenizer Tokenizer::load_folder(const fs::path& folder) {
  check_settings(folder / "tokenizer_config.json");
  if (file_exists((folder / "tokenizer.json").string())) return load((folder / "tokenizer.json").string());
  for (const auto& [vocab, merges] : {std::pair{"vocab.json", "merges.txt"}, {"encoder.json", "vocab.bpe"}}) {
    if (file_exists((folder / vocab).string()))
      return from_gpt2_files((folder / vocab).string(), (folder / merges).string(), folder.string());
  }
  throw Error(fmt::format(
      "{}: has neither a tokenizer.json nor a vocab.json and merges.txt; name a folder with one of them",
      folder.string()));
}

Tokenizer Tokenizer::from_json(std::string_view json, const std::string& name_for_errors) {
  return name_errors(name_for_errors, [&] {
    const Json document = parse_json(json);
    const Pipeline pipeline = read_pipeline(document);
    const Json& model = document["model"];
    Ids vocab = read_vocab(model["vocab"]);
    auto merges = read_merges(member(model, "merges"), vocab);
    auto specials = read_added_tokens(document["added_tokens"]);
    add_specials(vocab, specials);
    const SpecialTokens found_first(specials, pipeline.normalization);
    return Tokenizer(
        std::make_shared<Tables>(by_id(vocab, specials), std::move(merges), found_first, pipeline));
  });
}

Tokenizer Tokenizer::from_gpt2_files(const std::string& vocab_path, const std::string& merges_path,
                                     const std::string& folder) {
  const MappedFile vocab_file(vocab_path, MappedFile::Access::kSequential);
  const MappedFile merges_file(merges_path, MappedFile::Access::kSequential);
  Ids vocab = name_errors(vocab_path, [&] { return read_vocab(parse_json(vocab_file.text())); });
  auto merges = name_errors(merges_path, [&] { return read_merges_file(merges_file.text(), vocab); });
  Specials specials = folder.empty() ? Specials() : added_in_folder(folder);
  const Pipeline pipeline = folder.empty() ? Pipeline() : pipeline_in_folder(folder);
  const auto end = vocab.find(std::string(kEndOfText));
  if (end != vocab.end() &&
      std::ranges::find(specials, end->first, &SpecialTokens::Token::text) == specials.end())
    specials.push_back({end->first, static_cast<int32_t>(end->second)});
  return name_errors(vocab_path, [&] {
    add_specials(vocab, specials);
    const SpecialTokens found_first(specials, pipeline.normalization);
    return Tokenizer(
        std::make_shared<Tables>(by_id(vocab, specials), std::move(merges), found_first, pipeline));
  });
}

std::string Tokenizer::to_json() const {
  const auto& spellings = tables_->spellings;
  const auto added = lines(tables_->specials.tokens(), 4, [](const SpecialTokens::Token& token) {
    return fmt::format(
        R"({{"id": {}, "content": {}, "single_word": false, "lstrip": false, "rstrip": false, )"
        R"("normalized": {}, "special": {}}})",
        token.id, json_quoted(token.text), token.normalized, token.special);
  });
  const auto vocab = vocab_lines(spellings, 6);
  const auto merges = lines(tables_->merges, 6, [&](const Merge& merge) {
    return fmt::format("[{}, {}]", json_quoted(spellings[merge.left]), json_quoted(spellings[merge.right]));
  });
  const PipelineJson pipeline = hipgpt::to_json(tables_->pipeline);
  return fmt::format(R"({{
  "version": "1.0",
  "truncation": null,
  "padding": null,
  "added_tokens": [{added}
  ],
  "normalizer": {normalizer},
  "pre_tokenizer": {pre_tokenizer},
  "post_processor": {byte_level},
  "decoder": {byte_level},
  "model": {{
    "type": "BPE",
    "dropout": null,
    "unk_token": null,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": false,
    "byte_fallback": false,
    "ignore_merges": {ignore_merges},
    "vocab": {{{vocab}
    }},
    "merges": [{merges}
    ]
  }}
}}
)",
                     fmt::arg("added", added), fmt::arg("normalizer", pipeline.normalizer),
                     fmt::arg("pre_tokenizer", pipeline.pre_tokenizer),
                     fmt::arg("byte_level", pipeline.byte_level),
                     fmt::arg("ignore_merges", tables_->pipeline.ignore_merges), fmt::arg("vocab", vocab),
                     fmt::arg("merges", merges));
}

std::optional<Tokenizer::Gpt2Files> Tokenizer::to_gpt2_files() const {
  if (!tables_->pipeline.is_gpt2()) return std::nullopt;
  const auto& spellings = tables_->spellings;
  Gpt2Files files;
  files.vocab = fmt::format("{{{}\n}}\n", vocab_lines(spellings, 2));
  files.merges = "#version: 0.2\n";
  for (const Merge& merge : tables_->merges) {
    files.merges += fmt::format("{} {}\n", spellings[merge.left], spellings[merge.right]);
  }
  return files;
}

}  // namespace hipgpt

// Reads and writes tokenizer.json, the format of Hugging Face's library `tokenizers`, and GPT-2's two files.
// README.md in this folder shows the format.
#include <fmt/format.h>

#include <limits>
#include <unordered_map>

#include "error.h"
#include "tokenizer.h"
#include "tokenizer/tables.h"
#include "util/files.h"
#include "util/json.h"
#include "util/mapped_file.h"
#include "util/name_errors.h"

namespace hipgpt {

namespace fs = std::filesystem;

namespace {

using Json = JsonValue;
using Specials = std::vector<SpecialTokens::Token>;
using Ids = std::unordered_map<std::string, uint32_t>;

const Json& member(const Json& object, const char* key) {
  if (!object.is_object()) throw Error(fmt::format("the object that should hold \"{}\" is missing", key));
  const Json* found = object.find(key);
  if (found == nullptr) throw Error(fmt::format("\"{}\" is missing", key));
  return *found;
}

std::string string_member(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_string()) throw Error(fmt::format("\"{}\" should be a string", key));
  return value.as_string();
}

bool bool_member(const Json& object, const char* key) {
  const Json& value = member(object, key);
  if (!value.is_bool()) throw Error(fmt::format("\"{}\" should be true or false", key));
  return value.as_bool();
}

uint32_t as_id(const Json& value, const std::string& token) {
  const bool fits = value.is_count() && value.as_count() <= std::numeric_limits<int32_t>::max();
  if (!fits)
    throw Error(fmt::format("the id of token \"{}\" should be a whole number from 0 to 2^31 - 1", token));
  return static_cast<uint32_t>(value.as_count());
}

bool is_off(const Json& value) {
  return value.is_null() || value == false || value == "" || value == 0.0;
}

void require_off(const Json& object, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    if (!is_off(object[key])) {
      throw Error(
          fmt::format("\"{}\" is set, which HipGPT does not support: it should be null or false", key));
    }
  }
}

void require_byte_level(const Json& document, const char* key) {
  const Json& part = document[key];
  if (part.is_null()) return;
  if (!part.is_object() || part["type"] != "ByteLevel") {
    throw Error(fmt::format("\"{}\" should be null or of type ByteLevel: HipGPT supports only these", key));
  }
}

/// Hugging Face keeps settings next to a tokenizer.json that change how it encodes.
void check_settings(const fs::path& path) {
  if (!file_exists(path.string())) return;
  name_errors(path.string(), [&] {
    const MappedFile file(path.string(), MappedFile::Access::kSequential);
    const Json settings = parse_json(file.text());
    if (!settings.is_object()) throw Error("should be a JSON object");
    require_off(settings, {"add_prefix_space", "add_bos_token", "add_eos_token"});
  });
}

/// A template that adds nothing to the text, such as transformers 5 writes, is equivalent to none.
void check_post_processor(const Json& document) {
  const Json& part = document["post_processor"];
  if (!part.is_object() || part["type"] != "TemplateProcessing") {
    return require_byte_level(document, "post_processor");
  }
  const Json& single = part["single"];
  if (!single.is_array() || single.items().size() != 1 || !single.items()[0].find("Sequence")) {
    throw Error("\"post_processor\" adds tokens to a text, which HipGPT does not support: it should be null");
  }
}

void check_pre_tokenizer(const Json& document) {
  const Json& part = member(document, "pre_tokenizer");
  require_byte_level(document, "pre_tokenizer");
  if (part.is_null()) throw Error("\"pre_tokenizer\" should be of type ByteLevel: HipGPT supports only this");
  if (member(part, "add_prefix_space") != false) throw Error("\"add_prefix_space\" should be false");
  const Json& use_regex = part["use_regex"];
  if (!use_regex.is_null() && use_regex != true) throw Error("\"use_regex\" should be true");
}

/// Checks everything in the file that would change ids, except the vocabulary itself.
void check_pipeline(const Json& document) {
  if (member(document, "version") != "1.0") throw Error("\"version\" should be \"1.0\"");
  require_off(document, {"truncation", "padding", "normalizer"});
  check_pre_tokenizer(document);
  check_post_processor(document);
  require_byte_level(document, "decoder");
  const Json& model = member(document, "model");
  member(model, "vocab");
  const Json& type = model["type"];  // old files lack it
  if (!type.is_null() && type != "BPE")
    throw Error("\"model\" should be of type BPE: HipGPT supports only this");
  require_off(model, {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback",
                      "ignore_merges"});
}

Ids read_vocab(const Json& vocab) {
  if (!vocab.is_object()) throw Error("\"vocab\" should be an object of tokens and their ids");
  Ids ids;
  for (const auto& [token, id] : vocab.members()) ids.emplace(token, as_id(id, token));
  return ids;
}

Specials read_added_tokens(const Json& list) {
  Specials tokens;
  if (list.is_null()) return tokens;
  if (!list.is_array()) throw Error("\"added_tokens\" should be a list");
  for (const Json& token : list.items()) {
    std::string text = string_member(token, "content");
    const uint32_t id = as_id(member(token, "id"), text);
    require_off(token, {"single_word", "lstrip", "rstrip"});
    // The library searches for normalized tokens after all others; HipGPT searches once.
    if (bool_member(token, "normalized") != bool_member(list.items()[0], "normalized")) {
      throw Error("\"normalized\" should be the same for all added tokens");
    }
    tokens.push_back({std::move(text), static_cast<int32_t>(id)});
  }
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

/// Added tokens are either in the vocabulary or have ids beyond it.
void add_specials(Ids& vocab, const Specials& specials) {
  for (const auto& special : specials) {
    const uint32_t id = vocab.emplace(special.text, special.id).first->second;
    if (id != static_cast<uint32_t>(special.id)) {
      throw Error(fmt::format("added token \"{}\" has id {}, but id {} in the vocabulary", special.text,
                              special.id, id));
    }
  }
}

std::vector<std::string> by_id(const Ids& vocab) {
  std::vector<std::string> spellings(vocab.size());
  std::vector<bool> taken(vocab.size());
  for (const auto& [token, id] : vocab) {
    if (id >= vocab.size()) {
      throw Error(fmt::format("token \"{}\" has id {}, but {} tokens should have the ids 0 to {}", token, id,
                              vocab.size(), vocab.size() - 1));
    }
    if (taken[id])
      throw Error(fmt::format("tokens \"{}\" and \"{}\" have the same id {}", token, spellings[id], id));
    taken[id] = true;
    spellings[id] = token;
  }
  return spellings;
}

std::vector<Merge> read_merges_file(std::string_view text, const Ids& vocab) {
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

/// Formats a JSON list or object with one indented item per line.
template <typename Items, typename Line>
std::string lines(const Items& items, int indent, Line&& line) {
  std::string text;
  for (const auto& item : items) {
    text += fmt::format("{}\n{:{}}{}", text.empty() ? "" : ",", "", indent, line(item));
  }
  return text;
}

constexpr const char* kByteLevel =
    R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})";

}  // namespace

Tokenizer Tokenizer::load(const std::string& path) {
  if (is_folder(path)) return load_folder(path);
  const MappedFile file(path, MappedFile::Access::kSequential);
  return from_json(file.text(), path);
}

Tokenizer Tokenizer::load_folder(const fs::path& folder) {
  check_settings(folder / "tokenizer_config.json");
  if (file_exists((folder / "tokenizer.json").string())) return load((folder / "tokenizer.json").string());
  for (const auto& [vocab, merges] : {std::pair{"vocab.json", "merges.txt"}, {"encoder.json", "vocab.bpe"}}) {
    if (file_exists((folder / vocab).string()))
      return from_gpt2_files((folder / vocab).string(), (folder / merges).string());
  }
  throw Error(fmt::format(
      "{}: has neither a tokenizer.json nor a vocab.json and merges.txt; name a folder with one of them",
      folder.string()));
}

Tokenizer Tokenizer::from_json(std::string_view json, const std::string& name_for_errors) {
  return name_errors(name_for_errors, [&] {
    const Json document = parse_json(json);
    check_pipeline(document);
    const Json& model = document["model"];
    Ids vocab = read_vocab(model["vocab"]);
    auto merges = read_merges(member(model, "merges"), vocab);
    auto specials = read_added_tokens(document["added_tokens"]);
    add_specials(vocab, specials);
    return Tokenizer(
        std::make_shared<Tables>(by_id(vocab), std::move(merges), SpecialTokens(std::move(specials))));
  });
}

Tokenizer Tokenizer::from_gpt2_files(const std::string& vocab_path, const std::string& merges_path) {
  const MappedFile vocab_file(vocab_path, MappedFile::Access::kSequential);
  const MappedFile merges_file(merges_path, MappedFile::Access::kSequential);
  const Ids vocab = name_errors(vocab_path, [&] { return read_vocab(parse_json(vocab_file.text())); });
  auto merges = name_errors(merges_path, [&] { return read_merges_file(merges_file.text(), vocab); });
  Specials specials;
  if (const auto end = vocab.find(std::string(kEndOfText)); end != vocab.end()) {
    specials.push_back({end->first, static_cast<int32_t>(end->second)});
  }
  return name_errors(vocab_path, [&] {
    return Tokenizer(
        std::make_shared<Tables>(by_id(vocab), std::move(merges), SpecialTokens(std::move(specials))));
  });
}

std::string Tokenizer::to_json() const {
  const auto& spellings = tables_->spellings;
  const auto added = lines(tables_->specials.tokens(), 4, [](const SpecialTokens::Token& token) {
    return fmt::format(
        R"({{"id": {}, "content": {}, "single_word": false, "lstrip": false, "rstrip": false, )"
        R"("normalized": false, "special": true}})",
        token.id, json_quoted(token.text));
  });
  uint32_t id = 0;
  const auto vocab = lines(spellings, 6, [&](const std::string& token) {
    return fmt::format("{}: {}", json_quoted(token), id++);
  });
  const auto merges = lines(tables_->merges, 6, [&](const Merge& merge) {
    return fmt::format("[{}, {}]", json_quoted(spellings[merge.left]), json_quoted(spellings[merge.right]));
  });
  return fmt::format(R"({{
  "version": "1.0",
  "truncation": null,
  "padding": null,
  "added_tokens": [{added}
  ],
  "normalizer": null,
  "pre_tokenizer": {byte_level},
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
    "ignore_merges": false,
    "vocab": {{{vocab}
    }},
    "merges": [{merges}
    ]
  }}
}}
)",
                     fmt::arg("added", added), fmt::arg("byte_level", kByteLevel), fmt::arg("vocab", vocab),
                     fmt::arg("merges", merges));
}

Tokenizer::Gpt2Files Tokenizer::to_gpt2_files() const {
  const auto& spellings = tables_->spellings;
  uint32_t id = 0;
  Gpt2Files files;
  files.vocab = fmt::format("{{{}\n}}\n", lines(spellings, 2, [&](const std::string& token) {
                              return fmt::format("{}: {}", json_quoted(token), id++);
                            }));
  files.merges = "#version: 0.2\n";
  for (const Merge& merge : tables_->merges) {
    files.merges += fmt::format("{} {}\n", spellings[merge.left], spellings[merge.right]);
  }
  return files;
}

}  // namespace hipgpt

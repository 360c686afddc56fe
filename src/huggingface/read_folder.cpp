// Reads a model from a folder: finds its files and tensors and checks them against config.json.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "checkpoint/float_values.h"
#include "checkpoint/token_roles_json.h"
#include "error.h"
#include "huggingface.h"
#include "huggingface/config_json.h"
#include "util/files.h"
#include "util/json.h"
#include "util/mapped_file.h"
#include "util/name_errors.h"
#include "util/number_text.h"

namespace hipgpt {

namespace fs = std::filesystem;

namespace {

constexpr const char* kEmbedding = "transformer.wte.weight";
constexpr const char* kHead = "lm_head.weight";

std::string in(const std::string& folder, const std::string& name) {
  return (fs::path(folder) / name).string();
}

void require_files(const std::string& folder, std::initializer_list<const char*> names) {
  if (!is_folder(folder)) {
    throw Error(
        fmt::format("{}: there is no such folder; models are not downloaded: from_pretrained() and "
                    "save_pretrained() of transformers make the folder of a model of the hub",
                    folder));
  }
  for (const char* name : names) {
    if (!file_exists(in(folder, name))) throw Error(fmt::format("{}: has no {}", folder, name));
  }
}

JsonValue read_json_if_there(const std::string& path) {
  return file_exists(path) ? read_json_object(path) : JsonValue(JsonValue::Object());
}

/// The roles of the special tokens that `settings` names, as "eos_token" does.
TokenRoles named_roles(const JsonValue& settings, const Tokenizer& tokenizer) {
  const auto id = [&](const char* key) {
    const JsonValue& token = settings[key];
    const JsonValue& text = token.is_object() ? token["content"] : token;
    return text.is_string() ? tokenizer.special_token(text.as_string()) : std::nullopt;
  };
  TokenRoles roles{id("bos_token"), id("pad_token"), {}};
  if (const auto end = id("eos_token")) roles.end.push_back(*end);
  return roles;
}

/// transformers takes ids from generation_config.json; without that file, from config.json. The tokenizer's
/// own settings are read last, for a role that neither of them has.
TokenRoles read_roles(const std::string& folder, const Tokenizer& tokenizer) {
  TokenRoles roles;
  for (const char* name : {"generation_config.json", "config.json"}) {
    const std::string path = in(folder, name);
    const JsonValue json = read_json_if_there(path);
    roles = roles.over(name_errors(path, [&] { return token_roles_in(json, tokenizer.vocab_size()); }));
  }
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"})
    roles = roles.over(named_roles(read_json_if_there(in(folder, name)), tokenizer));
  return roles;
}

/// An export writes these itself, or they name files and classes that it does not have.
constexpr const char* kOwnSettings[] = {"add_bos_token",    "add_eos_token",
                                        "add_prefix_space", "added_tokens_decoder",
                                        "auto_map",         "backend",
                                        "bos_token",        "eos_token",
                                        "pad_token",        "unk_token",
                                        "merges_file",      "vocab_file",
                                        "tokenizer_file",   "special_tokens_map_file",
                                        "name_or_path",     "processor_class",
                                        "tokenizer_class",  "model_max_length"};

/// Whether a setting is one token, or a list or an object of them, that the vocabulary marks as special.
/// transformers would make any other token special, which may change the ids of texts.
bool names_special_tokens(const JsonValue& setting, const Tokenizer& tokenizer) {
  const auto is_special = [&](const JsonValue& token) {
    const JsonValue& text = token.is_object() ? token["content"] : token;
    const auto id = text.is_string() ? tokenizer.special_token(text.as_string()) : std::nullopt;
    return id && tokenizer.is_marked_special(*id);
  };
  if (setting.is_array()) return std::ranges::all_of(setting.items(), is_special);
  if (!setting.is_object() || setting.find("content")) return is_special(setting);
  return std::ranges::all_of(setting.members(), [&](const auto& m) { return is_special(m.value); });
}

/// Returns what an export keeps of tokenizer_config.json, such as the template of a chat, as JSON.
std::string read_tokenizer_settings(const std::string& folder, const Tokenizer& tokenizer) {
  const JsonValue settings = read_json_if_there(in(folder, "tokenizer_config.json"));
  JsonValue::Object members;  // JsonValue::set() would search all earlier names for each one
  for (const auto& [name, value] : settings.members()) {
    const bool names_tokens =
        !value.is_bool() && (name.ends_with("_token") || name.ends_with("special_tokens"));
    if (std::ranges::find(kOwnSettings, name) != std::end(kOwnSettings)) continue;
    if (!names_tokens || names_special_tokens(value, tokenizer)) members.push_back({name, value});
  }
  JsonValue kept = std::move(members);
  // transformers 5 writes the template to a file of its own.
  const std::string chat = in(folder, "chat_template.jinja");
  if (file_exists(chat)) kept.set("chat_template", MappedFile(chat, MappedFile::Access::kSequential).text());
  return kept.members().empty() ? "" : kept.dump();
}

/// Returns the files of a sharded model, as its index lists them.
std::set<std::string> shards(const std::string& folder, const std::string& index) {
  const JsonValue json = read_json_object(index);
  const JsonValue& map = json["weight_map"];
  std::set<std::string> names;
  if (map.is_object()) {
    for (const auto& [tensor, file] : map.members()) names.insert(file.is_string() ? file.as_string() : "");
  }
  if (names.empty()) throw Error(index + ": \"weight_map\" should be an object of tensors and their files");
  std::set<std::string> paths;
  for (const std::string& name : names) {
    // A name must not lead out of the folder.
    if (name.empty() || name.find('/') != std::string::npos || name.find('\0') != std::string::npos) {
      throw Error(
          fmt::format("{}: \"weight_map\" should name files in the same folder, not \"{}\"", index, name));
    }
    if (!file_exists(in(folder, name)))
      throw Error(fmt::format("{}: names {}, which does not exist", index, name));
    paths.insert(in(folder, name));
  }
  return paths;
}

/// Returns the name of a file with weights in a format that HipGPT does not read, or "".
std::string other_weights(const std::string& folder) {
  std::string found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    const std::string name = entry.path().filename().string();
    const bool weights = (name.starts_with("pytorch_model") && name.ends_with(".bin")) ||
                         name.starts_with("tf_model") || name.starts_with("flax_model");
    if (weights && (found.empty() || name < found)) found = name;
  }
  return found;
}

std::vector<SafetensorsFile> open_weights(const std::string& folder) {
  const std::string one = in(folder, "model.safetensors"), index = in(folder, "model.safetensors.index.json");
  if (file_exists(one)) return {SafetensorsFile::open(one)};
  if (!file_exists(index)) {
    const std::string other = other_weights(folder);
    throw Error(fmt::format("{}: has no model.safetensors; {}", folder,
                            other.empty()
                                ? "name the folder of a model that transformers' save_pretrained() wrote"
                                : fmt::format("transformers' save_pretrained() converts its {}", other)));
  }
  std::vector<SafetensorsFile> files;
  for (const std::string& path : shards(folder, index)) files.push_back(SafetensorsFile::open(path));
  return files;
}

/// Returns a tensor's name in the model; OpenAI's own files omit "transformer.". Returns "" for attention
/// masks, which older versions of transformers also saved.
std::string model_name(const std::string& name) {
  if (name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias")) return "";
  return name.starts_with("transformer.") || name.starts_with("lm_head.") ? name : "transformer." + name;
}

const SafetensorsTensor* find(const std::vector<SafetensorsFile>& files, const std::string& name) {
  for (const SafetensorsFile& file : files) {
    for (const SafetensorsTensor& tensor : file.tensors()) {
      if (model_name(tensor.name) == name) return &tensor;
    }
  }
  return nullptr;
}

/// A head in the file that differs from the embedding is untied, whatever config.json says. transformers
/// reads it the same way.
bool has_own_head(const std::vector<SafetensorsFile>& files) {
  const SafetensorsTensor *head = find(files, kHead), *embedding = find(files, kEmbedding);
  return head && embedding &&
         !(head->dtype == embedding->dtype && std::ranges::equal(head->bytes, embedding->bytes));
}

/// Returns the name of the embedding in these files. A tied model may have it as its head only.
const char* embedding_name(const std::vector<SafetensorsFile>& files, const ModelConfig& config) {
  return config.tied_head && !find(files, kEmbedding) ? kHead : kEmbedding;
}

/// Returns every tensor of the model by name. Throws Error unless each exists exactly once with the right
/// shape and nothing else exists.
std::map<std::string, SafetensorsTensor> collect(const std::vector<SafetensorsFile>& files,
                                                 const ModelConfig& config, const std::string& folder) {
  std::map<std::string, std::vector<int64_t>> wanted;  // shapes
  GPTWeights(config).for_each(
      [&](const std::string& name, const Tensor& tensor, bool) { wanted[name] = tensor.shape(); });
  const std::string embedding = embedding_name(files, config);
  std::map<std::string, SafetensorsTensor> tensors;
  for (const SafetensorsFile& file : files) {
    for (const SafetensorsTensor& tensor : file.tensors()) {
      std::string name = model_name(tensor.name);
      if (name == embedding) name = kEmbedding;
      if (name.empty() || (name == kHead && config.tied_head)) continue;
      if (!wanted.contains(name)) {
        throw Error(fmt::format("{}: has a tensor {}, which the model in config.json does not have",
                                file.path(), tensor.name));
      }
      check_floats(file, tensor, wanted[name]);
      if (!tensors.emplace(name, tensor).second) throw Error(fmt::format("{}: has {} twice", folder, name));
    }
  }
  for (const auto& [name, info] : wanted) {
    if (!tensors.contains(name)) throw Error(fmt::format("{}: has no tensor {}", folder, name));
  }
  return tensors;
}

}  // namespace

HuggingFaceModel HuggingFaceModel::open(const std::string& folder, const std::string& tokenizer_path) {
  require_files(folder, {"config.json"});
  const std::string config_path = in(folder, "config.json");
  ModelConfig config = read_model_config(config_path);
  const std::string tokenizer_source = tokenizer_path.empty() ? folder : tokenizer_path;
  Tokenizer tokenizer = Tokenizer::load(tokenizer_source);
  if (tokenizer.has_template()) {
    throw Error(
        fmt::format("{}: \"post_processor\" adds tokens to every text, and the model was trained with "
                    "them, which HipGPT does not support",
                    tokenizer_source));
  }
  if (tokenizer.vocab_size() > config.vocab_size) {
    throw Error(fmt::format("{}: \"vocab_size\" is {}, but {} has {}: use files of one model", config_path,
                            config.vocab_size, tokenizer_path.empty() ? "its tokenizer" : tokenizer_path,
                            counted(tokenizer.vocab_size(), "token")));
  }
  std::vector<SafetensorsFile> files = open_weights(folder);
  config.tied_head = config.tied_head && !has_own_head(files);
  auto tensors = collect(files, config, folder);
  config.vocab_size = tokenizer.vocab_size();
  TokenRoles roles = read_roles(folder, tokenizer);
  std::string settings = read_tokenizer_settings(folder, tokenizer);
  return {{folder, config, std::move(tensors), std::move(files), std::move(roles), std::move(settings)},
          std::move(tokenizer)};
}

}  // namespace hipgpt

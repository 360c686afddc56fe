// The tasks that a user runs on files, and the changes that a case makes first: one function per kind of
// file.
#pragma once

#include <fmt/format.h>

#include <map>
#include <optional>

#include "error.h"
#include "huggingface/config_json.h"
#include "mutate_model.h"
#include "tokenizer.h"

namespace hipgpt::fuzz {

using Arguments = std::vector<std::string>;
using Files = std::map<std::string, std::string>;  // maps names in the working folder to bytes

inline constexpr const char* kCheckpoint = "gpt_checkpoint.bin";
inline constexpr const char* kOptimizer = "gpt_checkpoint.optimizer.bin";
inline constexpr const char* kWeights = "exported/model.safetensors";

/// What a user does with the files. The tasks from kInitFrom on run train_gpt.
enum class Task {
  kPrompt,
  kPerplexity,
  kExport,
  kFolder,
  kInitFrom,
  kResume,
  kContinue,
  kData,
  kTokenizer,
  kShard
};

struct Case {
  std::string kind;
  Task task;
  Files files;
  std::map<std::string, std::string> links = {};  // maps names to targets
  Arguments arguments = {};

  std::string& operator[](const std::string& name) { return files.at(name); }
  bool trains() const { return task >= Task::kInitFrom; }
  bool reads_folder() const { return task == Task::kFolder || task == Task::kInitFrom; }
  std::string& tokenizer() { return files.at(reads_folder() ? "exported/tokenizer.json" : "tokenizer.json"); }
};

inline std::optional<Tokenizer> tokenizer_of(const std::string& json) {
  try {
    return Tokenizer::from_json(json, "");
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// Updates what a run compares between files: the tokenizer's hash, the checksum of the weights, and all
/// other checksums.
inline void put_in_agreement(Case& c) {
  for (const char* name : {kCheckpoint, kOptimizer, "tokenizer.json", "tokens.bin"})
    if (!c.files.contains(name)) return;
  if (const auto tokenizer = tokenizer_of(c["tokenizer.json"])) {
    put_digits(c[kCheckpoint], "\"tokenizer_hash\":\"", tokenizer->hash());
    put<uint64_t>(c["tokens.bin"], 32, tokenizer->hash());
  }
  c[kCheckpoint] = with_safetensors_checksums(c[kCheckpoint]);
  put_digits(c[kOptimizer], "\"weights_checksum\":\"xxh3-64:", tensors_hash(c[kCheckpoint]));
  c[kOptimizer] = with_safetensors_checksums(c[kOptimizer]);
  c["tokens.bin"] = with_token_checksums(c["tokens.bin"]);
}

/// Replaces the model of the files, and everything that depends on it.
inline void put_model(Case& c, ModelConfig config) {
  if (c.reads_folder() || c.task == Task::kExport) {
    config.final_layernorm = true;
    config.head_bias = false;
  }
  Tensors weights{Tensors::of(c[kCheckpoint]).metadata, {}}, moments{Tensors::of(c[kOptimizer]).metadata, {}};
  for (const auto& [key, value] : config.to_metadata()) weights.metadata[key] = value;
  add_parameters(weights, config, "");
  for (const char* prefix : {"exp_avg.", "exp_avg_sq."}) add_parameters(moments, config, prefix);
  moments.metadata["flags"] = R"(["--data-path=text.txt"])";  // the other flags would contradict its sizes
  c[kCheckpoint] = weights.file();
  c[kOptimizer] = moments.file();
  weights.metadata = {{"format", "pt"}};
  c[kWeights] = weights.file();
  c["exported/config.json"] = config_json(config, {});
}

inline std::string change_json(const std::string& text, Random& random) {
  JsonMutator mutator(random);
  Json document = Json::parse(text);
  for (uint64_t n = 1 + random.below(3); n > 0; --n) mutator.mutate(document);
  return mutator.text(document);
}

/// Returns a valid tokenizer.json with more tokens: added tokens and merges of existing ones.
inline std::string larger_tokenizer(const std::string& text, Random& random) {
  nlohmann::json document = nlohmann::json::parse(text);
  auto &vocab = document["model"]["vocab"], &merges = document["model"]["merges"],
       &added = document["added_tokens"];
  const std::vector<std::string> begin = {"<", "<|endoftext|>", "a", "\n", std::string(2000, 'x'), "\x01"};
  auto id = vocab.size();
  std::vector<std::string> tokens;
  for (const auto& [token, unused] : vocab.items()) tokens.push_back(token);
  const bool merge = random.chance(50), same = random.chance(50);
  const std::string first = random.pick(begin);
  for (uint64_t n = uint64_t{1} << random.below(14);
       n > 0 && merges.size() * 40 + added.size() * (first.size() + 150) < 400'000; --n) {
    const std::string left = same ? tokens.back() : random.pick(tokens), right = random.pick(tokens);
    if (!merge) {
      added.push_back({{"id", id},
                       {"content", fmt::format("{}{}", first, id)},
                       {"special", true},
                       {"normalized", false}});
      ++id;
    } else if (left.size() + right.size() < 5000 && vocab.emplace(left + right, id).second) {
      merges.push_back({left, right});
      tokens.push_back(left + right);
      ++id;
    }
  }
  return document.dump();
}

/// Changes tokenizer.json or GPT-2's two files, often together with a model of the same vocabulary size.
inline void change_tokenizer(Case& c, Random& random) {
  if (c.reads_folder() && random.chance(25)) {
    c.files.erase("exported/tokenizer.json");
    std::string& file = c[random.chance(50) ? "exported/vocab.json" : "exported/merges.txt"];
    file = file.starts_with('{') ? change_json(file, random)
                                 : damage(file + std::string(random.below(300'000), 'a'), random);
    return;
  }
  std::string& json = c.tokenizer();
  const uint64_t how = random.below(10);
  if (how < 6) json = larger_tokenizer(json, random);
  if (how > 4) json = change_json(json, random);
  const auto tokenizer = tokenizer_of(c.tokenizer());
  if (!tokenizer || random.chance(20)) return;
  ModelConfig config = any_config(random, 1);
  config.vocab_size = tokenizer->vocab_size();
  if (config.parameter_count() > 80'000) config.embed_dim = config.num_heads = 1;
  if (config.parameter_count() < 80'000) put_model(c, config);
}

/// Leaves GPT-2's two files in place of tokenizer.json, and names a few of their tokens as added ones, in
/// either of the files that transformers writes.
inline void put_added_tokens(Case& c, Random& random) {
  c.files.erase("exported/tokenizer.json");
  const Json vocab = Json::parse(c["exported/vocab.json"]);
  Json ids = Json::object(), decoder = Json::object();
  for (const auto& [token, id] : vocab.items()) {
    if (!random.chance(3)) continue;
    ids[token] = id;
    decoder[id.dump()] = {
        {"content", token}, {"special", random.chance(50)}, {"normalized", false}, {"lstrip", false}};
  }
  c.files["exported/added_tokens.json"] = ids.dump();
  c.files["exported/special_tokens_map.json"] =
      R"({"bos_token": {"content": "<|endoftext|>"}, "eos_token": "the", "pad_token": null})";
  if (random.chance(50)) return;
  Json settings = Json::parse(c["exported/tokenizer_config.json"]);
  settings["added_tokens_decoder"] = decoder;
  c["exported/tokenizer_config.json"] = settings.dump();
}

/// Changes the files of a Hugging Face folder except the weights and the tokenizer.
inline void change_folder(Case& c, Random& random) {
  if (random.chance(80)) {
    std::vector<const char*> names = {"config", "config", "tokenizer_config", "generation_config"};
    if (random.chance(40)) {
      put_added_tokens(c, random);
      names = {"tokenizer_config", "added_tokens", "special_tokens_map"};
    }
    std::string& json = c[fmt::format("exported/{}.json", random.pick(names))];
    json = change_json(json, random);
    return;
  }
  Json map = Json::object();  // claims several weight files, of which only one exists
  for (const auto& part : Tensors::of(c[kWeights]).parts) map[part.name] = "part.safetensors";
  c.files["exported/part.safetensors"] = c[kWeights];
  c.files["exported/model.safetensors.index.json"] = change_json(Json{{"weight_map", map}}.dump(), random);
  c.files.erase(kWeights);
}

inline void change_weights(Case& c, Random& random) {
  c[kWeights] = change_safetensors(c[kWeights], random);
}
inline void change_checkpoint(Case& c, Random& random) {
  c[kCheckpoint] = change_safetensors(c[kCheckpoint], random);
}
inline void change_optimizer(Case& c, Random& random) {
  c[kOptimizer] = change_safetensors(c[kOptimizer], random);
}

/// Changes the model's sizes, sometimes to a vocabulary other than the tokenizer's, and sets strange values.
inline void change_model(Case& c, Random& random) {
  const int vocab_size = tokenizer_of(c.tokenizer())->vocab_size();
  put_model(c, any_config(random, random.chance(70) ? vocab_size
                                                    : vocab_size - 30 + static_cast<int>(random.below(60))));
  if (random.chance(70)) return;
  std::string& file = c[c.reads_folder() ? kWeights : random.chance(50) ? kOptimizer : kCheckpoint];
  Tensors tensors = Tensors::of(file);
  for (int n = 0; n < 3; ++n) change_values(tensors.parts[random.below(tensors.parts.size())], random);
  file = tensors.file();
}

inline std::vector<std::string> strange_flags() {
  auto flags = words(R"(
--tensorboard=../beside/tb --tensorboard=../beside/tb --tensorboard=tb --help --version
--list-devices -h -- - positional --steps --steps= --=1 --unknown=1 [section] --config=/etc/passwd
--config=tokenizer.json --run-name=../beside --run-name=other --reset --reset=true --resume
--ckpt=gpt_checkpoint.bin --ckpt=../beside/sentinel --init-from=exported --device=hip --device=x
--threads=4096 --keep-last=0 --ckpt-every=1 --log-every=1 --eval-every=1 --sample-every=1
--val-fraction=0.9 --val-fraction=1e-300 --val-fraction=nan --lr=nan --lr=1e39 --lr=1000
--min-lr=1000 --dropout=0.95 --seed=9007199254740993 --beta2=0.999999 --grad-clip=1e-300
--seq=1048576 --dim=65536 --layers=1024 --preset=gpt2 --vocab-size=16777216
--tokenizer=tokenizer.json --tokenizer=/etc/passwd --data-path=../beside/sentinel
--data-path=/dev/zero --data-path=exported --data-path=* --data-path=shard.bin
--val-data-path=text.txt --head-bias=maybe)");
  flags.insert(flags.end(), {"", "--sample-prompt=", "--sample-prompt=\n\x1b[2J",
                             "--data-path=" + std::string(5000, '*') + "/",
                             "--sample-prompt=" + std::string(300'000, 'x')});
  return flags;
}

/// Changes an object of flags and lists of values.
inline void change_saved_flags(Json& flags, Random& random) {
  static const std::vector<std::string> kFlags = strange_flags();
  for (uint64_t n = 1 + random.below(3); n > 0; --n) {
    const uint64_t what = random.below(10);
    if (what < 6 || flags.empty()) {
      const std::string flag = random.pick(kFlags);
      const size_t dashes = flag.starts_with("--") ? 2 : 0, end = flag.find('=');
      Json& values = flags[flag.substr(dashes, end - dashes)];
      if (!values.is_array() || random.chance(80)) values = Json::array();
      if (end != flag.npos) values.push_back(flag.substr(end + 1));
      continue;
    }
    auto member = flags.begin();
    std::advance(member, random.below(flags.size()));
    if (what < 8) {
      *member = Json::array({random.pick(kExtremeNumbers)});
    } else {
      flags.erase(member);
    }
  }
}

/// Changes the flags that --resume and --ckpt take from the optimizer file, or from metrics.jsonl where there
/// is no optimizer file yet.
inline void change_flags(Case& c, Random& random) {
  if (c.task == Task::kResume && random.chance(30)) {
    std::string& metrics = c["metrics.jsonl"];
    Json first = Json::parse(metrics.substr(0, metrics.find('\n')));
    change_saved_flags(first["run"]["flags"], random);
    metrics = first.dump() + "\n";
    for (const char* name : {kCheckpoint, kOptimizer}) c.files.erase(name);
    c.arguments = {"--dim", "4", "--heads", "1", "--layers", "1",
                   "--ff",  "4", "--seq",   "8", "--preset", "default"};
    return;
  }
  Tensors tensors = Tensors::of(c[kOptimizer]);
  Json flags = Json::parse(tensors.metadata["flags"].get<std::string>());
  change_saved_flags(flags, random);
  tensors.metadata["flags"] = random.chance(20) ? change_json(flags.dump(), random) : flags.dump();
  c[kOptimizer] = tensors.file();
}

inline void change_token_file(Case& c, Random& random) {
  c["tokens.bin"] = change_tokens(c["tokens.bin"], random,
                                  static_cast<uint64_t>(tokenizer_of(c.tokenizer())->vocab_size()));
  if (random.chance(20)) c.files["known_files.json"] = change_json(R"({"0123456789abcdef": 1})", random);
}

inline void change_shard(Case& c, Random& random) {
  c.files["shard.bin"] = any_shard(random, static_cast<uint64_t>(tokenizer_of(c.tokenizer())->vocab_size()));
}

inline void change_metrics(Case& c, Random& random) {
  std::string& file = c["metrics.jsonl"];
  Json lines = Json::array();
  for (size_t begin = 0; begin < file.size(); begin = file.find('\n', begin) + 1)
    lines.push_back(Json::parse(file.substr(begin, file.find('\n', begin) - begin)));
  JsonMutator mutator(random);
  for (uint64_t n = 1 + random.below(4); n > 0; --n) mutator.mutate(lines);
  file.clear();
  for (const Json& line : lines) file += mutator.text(line) + "\n";
}

/// Replaces files by symbolic links.
inline void change_links(Case& c, Random& random) {
  for (uint64_t n = 1 + random.below(2); n > 0; --n) {
    const char* name =
        random.pick(std::array{"metrics.jsonl", "report.md", "loss.svg", "tokens.bin", "known_files.json",
                               "tokenizer.json", "gpt_checkpoint.previous.bin", kCheckpoint, kOptimizer});
    c.links[name] = random.pick(
        std::array{"../beside/sentinel", "../beside/new", "../beside", name, "/dev/zero", ".", "missing"});
    c.files.erase(name);
  }
}

struct Kind {
  const char* name;
  void (*change)(Case&, Random&);
  std::vector<Task> tasks;
  const char* damaged = "";  // the file whose bytes are sometimes changed too
};

inline const std::vector<Kind>& kinds() {
  using enum Task;
  static const std::vector<Kind> kKinds = {
      {"tokenizer",
       change_tokenizer,
       {kPrompt, kPerplexity, kExport, kFolder, kInitFrom, kResume, kData, kTokenizer},
       "tokenizer.json"},
      {"config", change_folder, {kFolder, kInitFrom}, "exported/config.json"},
      {"safetensors", change_weights, {kFolder, kInitFrom}, kWeights},
      {"checkpoint", change_checkpoint, {kPrompt, kPerplexity, kExport, kResume, kContinue}, kCheckpoint},
      {"optimizer", change_optimizer, {kResume, kContinue}, kOptimizer},
      {"model", change_model, {kPrompt, kPerplexity, kExport, kFolder, kInitFrom, kResume, kContinue}},
      {"flags", change_flags, {kResume, kContinue}},
      {"tokens", change_token_file, {kResume, kData}, "tokens.bin"},
      {"llmc", change_shard, {kShard}, "shard.bin"},
      {"metrics", change_metrics, {kResume}, "metrics.jsonl"},
      {"links", change_links, {kPrompt, kExport, kResume, kContinue, kData}}};
  return kKinds;
}

/// Returns the flags of a task. They bound the work, because a stranger's files may ask for a year of it.
inline Arguments arguments_for(Case& c, Random& random) {
  static const std::map<Task, Arguments> kFlags = {
      {Task::kPrompt, {"--prompt", "the king<|endoftext|> shall not sleep while thunder rolls"}},
      {Task::kPerplexity, {"--perplexity", "text.txt"}},
      {Task::kExport, {"--export", "new"}},
      {Task::kFolder, {"--prompt", "the king<|endoftext|> shall", "--ckpt", "exported"}},
      {Task::kInitFrom, {"--init-from", "exported", "--data-path", "text.txt"}},
      {Task::kResume, {"--resume"}},
      {Task::kContinue, {"--ckpt", kCheckpoint, "--data-path", "text.txt"}},
      {Task::kData, {"--data-path", "text.txt"}},
      {Task::kTokenizer, {"--data-path", "text.txt", "--tokenizer", "given.json"}},
      {Task::kShard, {"--tokenizer", "tokenizer.json"}}};
  Arguments all = kFlags.at(c.task);
  const auto add = [&](const Arguments& more) { all.insert(all.end(), more.begin(), more.end()); };
  add(c.arguments);
  if (c.task == Task::kTokenizer) {
    c.files["given.json"] = c["tokenizer.json"];
    c.files.erase("tokenizer.json");
  }
  if (c.task == Task::kShard && random.chance(70))
    add({"--data-path", "shard.bin"});
  else if (c.task == Task::kShard)
    add({"--data-path", "text.txt", "--val-data-path", "shard.bin"});
  if (!c.trains()) {
    add({"--num-tokens", "3", "--seed", "1", "--top-k", "0", "--threads", "1"});
    if (random.chance(20) && c.task != Task::kPerplexity) add({"--json", "--logprobs", "2"});
    if (random.chance(20)) add({"--num-samples", "3", "--rep-penalty", "1.5", "--top-p", "0.5"});
    return all;
  }
  add({"--steps", "3", "--batch", "2", "--grad-accum", "1", "--eval-batches", "1", "--sample-tokens", "2",
       "--threads", "1"});
  if (c.task >= Task::kData) add({"--dim", "4", "--heads", "2", "--layers", "1", "--ff", "4", "--seq", "8"});
  return all;
}

}  // namespace hipgpt::fuzz

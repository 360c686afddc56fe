// Files from strangers: makes a small run with the two programs, changes its files in their structure with all
// checksums put right, and runs the programs on what comes out, as a user would. A case is a function of --seed
// and its number. It holds if a program does its work, or refuses in one line, within 5 s and 1 GiB, and leaves
// everything outside its folder alone.
//
//   mutate_files --train-gpt BUILD/train_gpt --generate BUILD/generate --cases 20000 --jobs 16 --keep failed
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include "mutate_model.h"

namespace hipgpt::fuzz {
namespace {

namespace fs = std::filesystem;

using Arguments = std::vector<std::string>;
using Files = std::map<std::string, std::string>;  // names in the working folder, and bytes

constexpr double kMostSeconds = 5.0;  // of CPU time
constexpr long kMostKilobytes = 1 << 20;
constexpr auto kHang = std::chrono::seconds(20);

struct Settings {
  std::string train_gpt, generate, only_kind;
  fs::path keep;
  uint64_t cases = 300, seed = 1, first = 0;
  unsigned jobs = 1;
};

// ---- Running a program ----------------------------------------------------------------------------------

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const fs::path& path, std::string_view bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

Files read_files(const fs::path& folder) {
  Files files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files[entry.path().lexically_relative(folder).string()] = read_file(entry.path());
  }
  return files;
}

struct Outcome {
  int status = -1, signal = 0;
  double seconds = 0.0;  // of CPU time
  long kilobytes = 0;    // at the most
  std::string out, err;
};

/// Only what is safe between fork and exec of a process with threads.
[[noreturn]] void become(const char* folder, char** argv, const char* out, const char* err) {
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  const int streams[] = {::open("/dev/null", O_RDONLY), ::open(out, O_WRONLY | O_CREAT | O_TRUNC, 0666),
                         ::open(err, O_WRONLY | O_CREAT | O_TRUNC, 0666)};
  for (int i = 0; i < 3; ++i) ::dup2(streams[i], i);
  if (::chdir(folder) == 0) ::execv(argv[0], argv);
  ::_exit(127);
}

/// Runs a program in root/run; its output goes beside that folder.
Outcome run(const fs::path& root, const std::string& program, const Arguments& arguments) {
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const std::string folder = root / "run", out = root / "stdout", err = root / "stderr";
  const pid_t child = ::fork();
  if (child == 0) become(folder.c_str(), argv.data(), out.c_str(), err.c_str());
  const auto deadline = std::chrono::steady_clock::now() + kHang;
  int state = 0;
  rusage usage{};
  while (::wait4(child, &state, WNOHANG, &usage) == 0) {
    if (std::chrono::steady_clock::now() > deadline) ::kill(child, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  const auto seconds = [](const timeval& time) { return double(time.tv_sec) + 1e-6 * double(time.tv_usec); };
  return {WIFEXITED(state) ? WEXITSTATUS(state) : -1, WIFSIGNALED(state) ? WTERMSIG(state) : 0,
          seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss, read_file(out), read_file(err)};
}

// ---- Cases ----------------------------------------------------------------------------------------------

/// What a user does with files: a flag list of one of the programs.
enum class Task { kPrompt, kPerplexity, kExport, kFolder, kInitFrom, kResume, kCheckpoint, kData, kTokenizer, kShard };

struct Case {
  std::string kind;
  Task task = Task::kPrompt;
  Files files;
  Arguments arguments;

  bool trains() const { return task >= Task::kInitFrom; }
  std::string& operator[](const std::string& name) { return files.at(name); }
  void rename(const std::string& from, const std::string& to) {
    files[to] = std::move(files.at(from));
    files.erase(from);
  }
};

constexpr const char* kCheckpoint = "gpt_checkpoint.bin";
constexpr const char* kOptimizer = "gpt_checkpoint.optimizer.bin";
constexpr const char* kBeside = "beside";  // the folder that no program may touch

/// The tokenizer.json that a task reads.
const char* tokenizer_of(Task task) {
  return task == Task::kFolder || task == Task::kInitFrom ? "exported/tokenizer.json" : "tokenizer.json";
}

struct TokenizerFacts {
  uint64_t hash;
  int vocab_size;
};

/// The hash as src/tokenizer/tables.cpp makes it; nothing for a tokenizer.json that does not have one.
std::optional<TokenizerFacts> facts_of(const std::string& tokenizer_json) {
  try {
    const auto document = nlohmann::json::parse(tokenizer_json);
    std::map<std::string, uint32_t> ids = document.at("model").at("vocab");
    std::map<uint32_t, std::string> specials;
    for (const auto& token : document.at("added_tokens")) {
      specials[token.at("id").get<uint32_t>()] = token.at("content");
      ids.emplace(token.at("content"), token.at("id"));
    }
    std::vector<std::string> spellings(ids.size());
    for (const auto& [token, id] : ids) spellings.at(id) = token;
    std::string all;
    for (const auto& token : spellings) all += fmt::format("{}:{}", token.size(), token);
    for (const auto& merge : document.at("model").at("merges"))
      all += fmt::format(",{} {}", ids.at(merge.at(0)), ids.at(merge.at(1)));
    for (const auto& [id, token] : specials) all += fmt::format("{}:{}", token.size(), token);
    return TokenizerFacts{XXH3_64bits(all.data(), all.size()), static_cast<int>(spellings.size())};
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

/// Makes the files agree that a run asks to agree: the hash of the tokenizer, the checksum of the weights, and
/// all checksums.
void put_in_agreement(Case& c) {
  if (const auto facts = facts_of(c["tokenizer.json"])) {
    put_digits(c[kCheckpoint], "\"tokenizer_hash\":\"", facts->hash);
    put<uint64_t>(c["tokens.bin"], 32, facts->hash);
  }
  c[kCheckpoint] = with_safetensors_checksums(c[kCheckpoint]);
  put_digits(c[kOptimizer], "\"weights_checksum\":\"xxh3-64:", tensors_hash(c[kCheckpoint]));
  c[kOptimizer] = with_safetensors_checksums(c[kOptimizer]);
  c["exported/model.safetensors"] = with_safetensors_checksums(c["exported/model.safetensors"]);
  c["tokens.bin"] = with_token_checksums(c["tokens.bin"]);
}

/// Another model in place of that of the files, with all that belongs to it.
void put_model(Case& c, ModelConfig config) {
  const bool folder = c.task == Task::kFolder || c.task == Task::kInitFrom;
  if (folder || c.task == Task::kExport) {
    config.final_layernorm = true;
    config.head_bias = false;
  }
  Tensors weights{Tensors::of(c[kCheckpoint]).metadata, {}}, moments{Tensors::of(c[kOptimizer]).metadata, {}};
  for (const auto& [key, value] : config.to_metadata()) weights.metadata[key] = value;
  add_parameters(weights, config, "");
  for (const char* prefix : {"exp_avg.", "exp_avg_sq."}) add_parameters(moments, config, prefix);
  // Its sizes were flags of the run too.
  moments.metadata["flags"] = R"(["--data-path=text.txt","--steps=2","--threads=1"])";
  c[kCheckpoint] = safetensors_file(weights);
  c[kOptimizer] = safetensors_file(moments);
  if (!folder) return;
  weights.metadata = Json{{"format", "pt"}};
  c["exported/model.safetensors"] = safetensors_file(weights);
  Json json = Json::parse(c["exported/config.json"]);
  json.update({{"vocab_size", config.vocab_size}, {"n_positions", config.max_seq_len}, {"n_embd", config.embed_dim},
               {"n_head", config.num_heads}, {"n_layer", config.num_layers}, {"n_inner", config.ff_hidden_dim},
               {"activation_function", config.activation == Activation::kRelu ? "relu" : "gelu_new"},
               {"tie_word_embeddings", config.tied_head}});
  c["exported/config.json"] = json.dump();
}

std::string change_json(const std::string& text, Random& random) {
  JsonMutator mutator(random);
  Json document = Json::parse(text);
  for (uint64_t n = 1 + random.below(3); n > 0; --n) mutator.mutate(document);
  return mutator.text(document);
}

void change_tokenizer(Case& c, Random& random) {
  const std::string name = tokenizer_of(c.task);
  if (name != "tokenizer.json" && random.chance(25)) {
    c.files.erase(name);
    auto& merges = c["exported/merges.txt"];
    if (random.chance(50)) c["exported/vocab.json"] = change_json(c["exported/vocab.json"], random);
    else merges = random.chance(50) ? damage(merges, random) : merges + std::string(random.below(500'000), 'a') + " b\n";
    return;
  }
  c[name] = change_json(c[name], random);
  const auto facts = facts_of(c[name]);
  if (facts && random.chance(60)) {
    ModelConfig small = any_config(random, 1);
    small.vocab_size = facts->vocab_size;
    if (small.parameter_count() < 80'000) put_model(c, small);
  }
}

/// The files of a Hugging Face folder but for the weights and the tokenizer.
void change_folder(Case& c, Random& random) {
  if (random.chance(20)) {  // weights in several files
    c.rename("exported/model.safetensors", "exported/part.safetensors");
    Json index = {{"metadata", {{"total_size", 1}}}, {"weight_map", Json::object()}};
    for (const auto& part : Tensors::of(c["exported/part.safetensors"]).parts)
      index["weight_map"][part.name] = "part.safetensors";
    c.files["exported/model.safetensors.index.json"] = change_json(index.dump(), random);
    return;
  }
  const char* name = random.pick(std::array{"config", "config", "config", "tokenizer_config", "generation_config"});
  std::string& json = c[fmt::format("exported/{}.json", name)];
  json = change_json(json, random);
}

void change_weights(Case& c, Random& random) {
  std::string& file = c["exported/model.safetensors"];
  file = change_safetensors(file, random);
}

void change_checkpoint(Case& c, Random& random) { c[kCheckpoint] = change_safetensors(c[kCheckpoint], random); }

void change_optimizer(Case& c, Random& random) { c[kOptimizer] = change_safetensors(c[kOptimizer], random); }

void change_model(Case& c, Random& random) {
  const auto facts = facts_of(c[tokenizer_of(c.task)]);
  const int vocab_size = facts->vocab_size + (random.chance(30) ? static_cast<int>(random.below(60)) - 30 : 0);
  put_model(c, any_config(random, vocab_size));
  if (random.chance(30)) {
    const char* name = c.task == Task::kFolder ? "exported/model.safetensors" : random.chance(50) ? kOptimizer : kCheckpoint;
    Tensors tensors = Tensors::of(c[name]);
    for (int n = 0; n < 3; ++n) change_values(tensors.parts[random.below(tensors.parts.size())], random);
    c[name] = safetensors_file(tensors);
  }
}

std::vector<std::string> strange_flags() {
  return {"--tensorboard=../beside/tb", "--tensorboard=tb", "--help", "--version", "--list-devices", "-h", "--",
          "-", "", "positional", "--steps", "--steps=", "--=1", "--unknown=1", "[section]", "--config=/etc/passwd",
          "--config=tokenizer.json", "--run-name=../beside", "--run-name=other", "--reset", "--resume",
          "--ckpt=gpt_checkpoint.bin", "--ckpt=../beside/sentinel", "--init-from=exported", "--device=hip", "--device=x",
          "--threads=4096", "--threads=-1", "--keep-last=0", "--ckpt-every=1", "--log-every=1", "--eval-every=1",
          "--sample-every=1", "--sample-prompt=", "--sample-prompt=\n\x1b[2J", "--sample-prompt=" + std::string(300'000, 'x'),
          "--val-fraction=0.9", "--val-fraction=1e-300", "--val-fraction=nan", "--lr=nan", "--lr=inf", "--lr=1e39",
          "--lr=1000", "--min-lr=1000", "--dropout=0.95", "--seed=9007199254740993", "--beta2=0.999999", "--grad-clip=1e-300",
          "--seq=1048576", "--dim=65536", "--heads=4096", "--layers=1024", "--preset=gpt2", "--vocab-size=16777216",
          "--tokenizer=tokenizer.json", "--tokenizer=/etc/passwd", "--data-path=../beside/sentinel", "--data-path=/dev/zero",
          "--data-path=exported", "--data-path=*", "--data-path=" + std::string(5000, '*') + "/", "--val-data-path=text.txt",
          "--data-path=shard.bin", "--warmup-steps=1000000000", "--activation=relu", "--tied-head=false", "--head-bias=maybe"};
}

void change_list_of_flags(Json& flags, Random& random) {
  static const std::vector<std::string> kFlags = strange_flags();
  for (uint64_t n = 1 + random.below(3); n > 0; --n) {
    const auto at = static_cast<std::ptrdiff_t>(random.below(flags.size() + 1));
    const uint64_t what = random.below(10);
    if (what < 6) {
      flags.insert(flags.begin() + at, random.pick(kFlags));
    } else if (what < 8 && at < static_cast<std::ptrdiff_t>(flags.size()) && flags[at].is_string()) {
      const std::string flag = flags[at];
      flags[at] = flag.substr(0, flag.find('=') + 1) + random.pick(extreme_numbers());
    } else if (at < static_cast<std::ptrdiff_t>(flags.size())) {
      flags.erase(flags.begin() + at);
    }
  }
}

/// The flags that an optimizer file keeps, which --resume and --ckpt take over; or, where there is no checkpoint
/// yet, those of metrics.jsonl.
void change_flags(Case& c, Random& random) {
  if (c.task == Task::kResume && random.chance(30)) {
    for (const char* name : {kCheckpoint, kOptimizer}) c.files.erase(name);
    std::string& metrics = c["metrics.jsonl"];
    Json first = Json::parse(metrics.substr(0, metrics.find('\n')));
    change_list_of_flags(first["run"]["flags"], random);
    metrics = first.dump() + "\n";
    c.arguments = {"--dim", "4", "--heads", "1", "--layers", "1", "--ff", "4", "--seq", "8", "--preset", "default"};
    return;
  }
  Tensors tensors = Tensors::of(c[kOptimizer]);
  const std::string text = tensors.metadata["flags"];
  Json flags = Json::parse(text);
  change_list_of_flags(flags, random);
  tensors.metadata["flags"] = random.chance(20) ? change_json(flags.dump(), random) : flags.dump();
  c[kOptimizer] = safetensors_file(tensors);
}

void change_token_file(Case& c, Random& random) {
  c["tokens.bin"] = change_tokens(c["tokens.bin"], random, static_cast<uint64_t>(facts_of(c["tokenizer.json"])->vocab_size));
  if (random.chance(20)) c.files["known_files.json"] = change_json(R"({"0123456789abcdef": 1})", random);
}

void change_llmc(Case& c, Random& random) {
  c["shard.bin"] = change_shard(random, static_cast<uint64_t>(facts_of(c["tokenizer.json"])->vocab_size));
}

void change_metrics(Case& c, Random& random) {
  Json lines = Json::array();
  const std::string& text = c["metrics.jsonl"];
  for (size_t begin = 0; begin < text.size(); begin = text.find('\n', begin) + 1)
    lines.push_back(Json::parse(text.substr(begin, text.find('\n', begin) - begin)));
  JsonMutator mutator(random);
  for (uint64_t n = 1 + random.below(4); n > 0; --n) mutator.mutate(lines);
  std::string changed;
  if (lines.is_array()) {
    for (const Json& line : lines) changed += mutator.text(line) + "\n";
  }
  c["metrics.jsonl"] = changed.empty() ? mutator.text(lines) : changed;
}

struct Kind {
  const char* name;
  void (*change)(Case&, Random&);
  std::vector<Task> tasks;
  std::vector<const char*> damaged;  // the files that may be damaged in their bytes too
};

const std::vector<Kind>& kinds() {
  using enum Task;
  static const std::vector<Kind> kKinds = {
      {"tokenizer", change_tokenizer, {kPrompt, kPerplexity, kExport, kFolder, kInitFrom, kResume, kData, kTokenizer},
       {"tokenizer.json", "exported/tokenizer.json"}},
      {"config", change_folder, {kFolder, kFolder, kInitFrom}, {"exported/config.json"}},
      {"safetensors", change_weights, {kFolder, kInitFrom}, {"exported/model.safetensors"}},
      {"checkpoint", change_checkpoint, {kPrompt, kPerplexity, kExport, kResume, kCheckpoint}, {"gpt_checkpoint.bin"}},
      {"optimizer", change_optimizer, {kResume, kCheckpoint}, {"gpt_checkpoint.optimizer.bin"}},
      {"model", change_model, {kPrompt, kPerplexity, kExport, kFolder, kInitFrom, kResume, kCheckpoint}, {}},
      {"flags", change_flags, {kResume, kCheckpoint}, {}},
      {"tokens", change_token_file, {kResume, kData}, {"tokens.bin"}},
      {"llmc", change_llmc, {kShard}, {"shard.bin"}},
      {"metrics", change_metrics, {kResume}, {"metrics.jsonl"}}};
  return kKinds;
}

/// The command line. It bounds how much work there is, for a stranger's flags may ask for a year of it.
Arguments arguments_for(Case& c, Random& random) {
  const Arguments drawn = {"--num-tokens", "3", "--seed", "1", "--top-k", "0", "--threads", "1"};
  const Arguments bounds = {"--steps", "3", "--batch", "2", "--grad-accum", "1", "--eval-batches", "1", "--sample-tokens",
                            "2", "--threads", "1"};
  const Arguments small = {"--dim", "4", "--heads", "2", "--layers", "1", "--ff", "4", "--seq", "8"};
  Arguments all = c.trains() ? bounds : drawn;
  all.insert(all.end(), c.arguments.begin(), c.arguments.end());
  const auto add = [&](const Arguments& more) { all.insert(all.end(), more.begin(), more.end()); };
  switch (c.task) {
    case Task::kPrompt:
    case Task::kFolder:
      add({"--prompt", random.chance(10) ? "" : "the king<|endoftext|> shall not sleep while thunder rolls"});
      if (random.chance(20)) add({"--json", "--logprobs", "2"});
      if (random.chance(20)) add({"--num-samples", "3"});
      if (random.chance(20)) add({"--rep-penalty", "1.5", "--top-p", "0.5"});
      if (c.task == Task::kFolder) add({"--ckpt", "exported"});
      break;
    case Task::kPerplexity: add({"--perplexity", "text.txt"}); break;
    case Task::kExport: add({"--export", "new"}); break;
    case Task::kInitFrom: add({"--init-from", "exported", "--data-path", "text.txt"}); break;
    case Task::kResume: add({"--resume"}); break;
    case Task::kCheckpoint: add({"--ckpt", kCheckpoint, "--data-path", "text.txt"}); break;
    case Task::kData:
      add({"--data-path", "text.txt"});
      add(small);
      break;
    case Task::kTokenizer:
      c.rename("tokenizer.json", "given.json");
      add({"--data-path", "text.txt", "--tokenizer", "given.json"});
      add(small);
      break;
    case Task::kShard:
      add({random.chance(70) ? "--data-path" : "--val-data-path", "shard.bin", "--tokenizer", "tokenizer.json"});
      if (all[all.size() - 4] == "--val-data-path") add({"--data-path", "text.txt"});
      add(small);
  }
  return all;
}

Case make_case(const Files& base, const Settings& settings, uint64_t i) {
  Random random(settings.seed, i);
  for (;;) {
    const Kind& kind = random.pick(kinds());
    if (!settings.only_kind.empty() && kind.name != settings.only_kind) continue;
    Case c{kind.name, random.pick(kind.tasks), base, {}};
    kind.change(c, random);
    if (random.chance(90) && c.files.contains(kCheckpoint)) {
      if (c.files.contains("exported/model.safetensors")) put_in_agreement(c);
    }
    if (!kind.damaged.empty() && random.chance(10)) {
      const char* name = random.pick(kind.damaged);
      if (c.files.contains(name)) c[name] = damage(c[name], random);
    }
    c.arguments = arguments_for(c, random);
    const auto is_large = [](const auto& file) { return file.second.size() >= 1'000'000; };
    if (std::none_of(c.files.begin(), c.files.end(), is_large)) return c;
  }
}

// ---- The verdict ----------------------------------------------------------------------------------------

/// What is wrong with a line that a user reads, or "".
std::string fault_of_message(const std::string& err) {
  for (const char* words : {"Sanitizer", "runtime error:", "filesystem error", "json.exception", "std::", "basic_string",
                            "vector::", "map::at", "terminate called", "what():", "bad_alloc", "internal error"}) {
    if (err.find(words) != std::string::npos) return fmt::format("says \"{}\"", words);
  }
  return "";
}

std::string fault_of(const Case& c, const Outcome& o) {
  if (o.signal == SIGKILL) return "hung, or was killed for its memory";
  if (o.signal != 0) return fmt::format("ended by signal {}", o.signal);
  if (o.status < 0 || o.status > 2) return fmt::format("exit status {}", o.status);
  if (const std::string fault = fault_of_message(o.err); !fault.empty()) return fault;
  const std::string program = c.trains() ? "train_gpt: " : "generate: ";
  int lines = 0, named = 0;
  for (size_t at = 0; at < o.err.size(); at = std::min(o.err.find('\n', at), o.err.size() - 1) + 1, ++lines)
    named += o.err.substr(at).starts_with(program);
  // generate says facts of the model before it, and --resume of each checkpoint that it passes over why.
  const int most = c.task == Task::kResume ? 4 : 1;
  if (o.status != 0 && (named < 1 || named > most)) return fmt::format("{} messages for an error", named);
  if (c.trains() && named < lines) return "a line without the program's name";
  if (c.trains() && o.status == 0 && o.out.find("\ndone ") == std::string::npos) return "did not train";
  if (o.seconds > kMostSeconds) return fmt::format("took {:.1f} s", o.seconds);
  if (o.kilobytes > kMostKilobytes) return fmt::format("took {} MiB", o.kilobytes / 1024);
  return "";
}

/// Runs a case in a fresh folder root/run, beside a folder that has to stay as it is.
std::string check(const Settings& settings, const Case& c, const fs::path& root, Outcome& outcome) {
  fs::remove_all(root);
  for (const auto& [name, bytes] : c.files) write_file(root / "run" / name, bytes);
  write_file(root / kBeside / "sentinel", "text of another project\n");
  outcome = run(root, c.trains() ? settings.train_gpt : settings.generate, c.arguments);
  const std::string fault = fault_of(c, outcome);
  if (!fault.empty()) return fault;
  Files outside = read_files(root / kBeside);
  for (const auto& entry : fs::directory_iterator(root)) outside.emplace(entry.path().filename().string(), "");
  const bool as_before = outside.size() == 5 && outside["sentinel"] == "text of another project\n" &&
                         outside.contains("run") && outside.contains("stdout") && outside.contains("stderr");
  return as_before ? "" : "wrote outside the folder of the run";
}

/// What is needed to look at a case again: the files as they were, and the command.
void keep(const Settings& settings, const Case& c, uint64_t i, const std::string& fault, const Outcome& o) {
  const fs::path folder = settings.keep / fmt::format("{}-{}", c.kind, i);
  for (const auto& [name, bytes] : c.files) write_file(folder / "run" / name, bytes);
  std::string command = c.trains() ? settings.train_gpt : settings.generate;
  for (const std::string& argument : c.arguments) command += fmt::format(" '{}'", argument);
  write_file(folder / "command", command + "\n");
  write_file(folder / "fault", fmt::format("{}\n{}", fault, o.err));
}

struct Summary {
  uint64_t cases = 0, right = 0, refused = 0, failed = 0;
  double slowest = 0.0;
  long largest = 0;
  size_t longest_message = 0;
};

// ---- The files that all cases come from -----------------------------------------------------------------

std::string sample_text() {
  static constexpr const char* kWords[] = {"the", "king", "shall", "not", "sleep", "while", "thunder", "rolls", "over"};
  std::string text;
  uint32_t bits = 1;
  for (int i = 0; i < 600; ++i) {
    bits = bits * 1664525u + 1013904223u;
    text += kWords[(bits >> 16) % std::size(kWords)];
    text += i % 60 == 59 ? "<|endoftext|>" : i % 9 == 8 ? ".\n" : " ";
  }
  return text;
}

Files make_base(const Settings& settings, const fs::path& root) {
  const auto must = [&](const std::string& program, const Arguments& arguments) {
    const Outcome o = run(root, program, arguments);
    if (o.status != 0) throw std::runtime_error(fmt::format("{} cannot make the files: {}", program, o.err));
  };
  write_file(root / "run/text.txt", sample_text());
  must(settings.train_gpt,
       {"--data-path", "text.txt", "--vocab-size", "270", "--dim", "4", "--heads", "2", "--layers", "1", "--ff", "4", "--seq",
        "8", "--batch", "2", "--steps", "2", "--final-layernorm", "true", "--head-bias", "false", "--activation", "gelu",
        "--log-every", "1", "--sample-every", "1", "--sample-tokens", "2", "--threads", "1"});
  must(settings.generate, {"--export", "exported"});
  Files files = read_files(root / "run");
  Random random(0, 0);
  files["shard.bin"] = change_shard(random, 270);
  const auto facts = facts_of(files["tokenizer.json"]);
  const bool known = facts && facts->vocab_size == 270 &&
                     files[kCheckpoint].find(fmt::format("\"{:016x}\"", facts->hash)) != std::string::npos;
  if (!known) throw std::runtime_error("facts_of() makes another hash of a tokenizer than HipGPT");
  return files;
}

Settings read_settings(int argc, char** argv) {
  Settings s;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--train-gpt") s.train_gpt = fs::absolute(value).string();
    else if (flag == "--generate") s.generate = fs::absolute(value).string();
    else if (flag == "--cases") s.cases = std::stoull(value);
    else if (flag == "--seed") s.seed = std::stoull(value);
    else if (flag == "--first") s.first = std::stoull(value);
    else if (flag == "--kind") s.only_kind = value;
    else if (flag == "--jobs") s.jobs = static_cast<unsigned>(std::stoul(value));
    else if (flag == "--keep") s.keep = fs::absolute(value);
    else throw std::runtime_error("unknown flag " + flag);
  }
  const bool is_kind = std::ranges::any_of(kinds(), [&](const Kind& k) { return k.name == s.only_kind; });
  if (argc % 2 == 0 || s.train_gpt.empty() || s.generate.empty() || !(is_kind || s.only_kind.empty())) {
    throw std::runtime_error(
        "usage: mutate_files --train-gpt FILE --generate FILE [--cases N] [--seed N] [--first N] [--kind NAME] [--jobs N] "
        "[--keep DIR]");
  }
  return s;
}

int run_all(const Settings& settings, const fs::path& work) {
  const Files base = make_base(settings, work / "base");
  std::atomic<uint64_t> next = settings.first;
  std::mutex mutex;
  std::map<std::string, Summary> summaries;
  const auto worker = [&](unsigned job) {
    for (uint64_t i; (i = next++) < settings.first + settings.cases;) {
      const Case c = make_case(base, settings, i);
      Outcome o;
      const std::string fault = check(settings, c, work / fmt::format("job{}", job), o);
      const std::lock_guard lock(mutex);
      Summary& s = summaries[c.kind];
      ++s.cases;
      ++(!fault.empty() ? s.failed : o.status == 0 ? s.right : s.refused);
      s.slowest = std::max(s.slowest, o.seconds);
      s.largest = std::max(s.largest, o.kilobytes);
      if (o.status != 0) s.longest_message = std::max(s.longest_message, o.err.size());
      if (fault.empty()) continue;
      fmt::print("case {} ({}): {}: {}\n", i, c.kind, fault, o.err.substr(0, 300));
      std::fflush(stdout);
      if (!settings.keep.empty()) keep(settings, c, i, fault, o);
    }
  };
  std::vector<std::thread> workers;
  for (unsigned job = 0; job < settings.jobs; ++job) workers.emplace_back(worker, job);
  for (std::thread& thread : workers) thread.join();
  fmt::print("{:12} {:>7} {:>7} {:>7} {:>7} {:>9} {:>9} {:>16}\n", "kind", "cases", "right", "refused", "failed", "slowest",
             "largest", "longest message");
  uint64_t failed = 0;
  for (const auto& [kind, s] : summaries) {
    fmt::print("{:12} {:7} {:7} {:7} {:7} {:7.2f} s {:5} MiB {:10} bytes\n", kind, s.cases, s.right, s.refused, s.failed,
               s.slowest, s.largest / 1024, s.longest_message);
    failed += s.failed;
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace hipgpt::fuzz

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  ::setenv("OPENBLAS_NUM_THREADS", "1", 1);
  std::string work = (fs::temp_directory_path() / "hipgpt-mutate-XXXXXX").string();
  int status = 1;
  try {
    const auto settings = hipgpt::fuzz::read_settings(argc, argv);
    if (::mkdtemp(work.data()) == nullptr) throw std::runtime_error("no temporary folder");
    status = hipgpt::fuzz::run_all(settings, work);
  } catch (const std::exception& error) {
    std::fputs(fmt::format("mutate_files: {}\n", error.what()).c_str(), stderr);
  }
  std::error_code ignored;
  fs::remove_all(work, ignored);
  return status;
}

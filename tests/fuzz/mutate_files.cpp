// Files from strangers: makes a small run with the two programs, changes its files in their structure with all
// checksums put right, and runs the programs on what comes out, as a user would. A case is a function of --seed
// and its number. It holds if a program does its work, or refuses in one line, within 5 s and 1 GiB, and leaves
// alone what is outside its folder.
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
#include <optional>
#include <thread>

#include "error.h"
#include "huggingface/config_json.h"
#include "mutate_model.h"
#include "tokenizer.h"

namespace hipgpt::fuzz {
namespace {

namespace fs = std::filesystem;

using Arguments = std::vector<std::string>;
using Files = std::map<std::string, std::string>;  // names in the working folder, and bytes

constexpr double kMostSeconds = 5.0;  // of CPU time
constexpr long kMostKilobytes = 1 << 20;
constexpr auto kHang = std::chrono::seconds(20);
constexpr size_t kMostBytes = 1'000'000;  // of a file
constexpr const char* kCheckpoint = "gpt_checkpoint.bin";
constexpr const char* kOptimizer = "gpt_checkpoint.optimizer.bin";
constexpr const char* kWeights = "exported/model.safetensors";
constexpr const char* kSentinel = "beside/sentinel";  // in a folder that no program may touch

struct Settings {
  std::string train_gpt, generate, only_kind;
  fs::path keep;
  uint64_t cases = 300, seed = 1, first = 0, jobs = 1;
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
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files[entry.path().lexically_relative(folder).string()] = read_file(entry.path());
  return files;
}

struct Outcome {
  int status = -1, signal = 0;
  double seconds = 0.0;  // of CPU time
  long kilobytes = 0;    // at the most
  std::string out, err;
};

/// Only what is safe between fork and exec in a process with threads.
[[noreturn]] void become(const char* folder, char** argv, const char* out, const char* err) {
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  const int write = O_WRONLY | O_CREAT | O_TRUNC;
  const int streams[] = {::open("/dev/null", O_RDONLY), ::open(out, write, 0666), ::open(err, write, 0666)};
  for (int i = 0; i < 3; ++i) ::dup2(streams[i], i);
  if (::chdir(folder) == 0) ::execv(argv[0], argv);
  ::_exit(127);
}

/// Runs a program in root/run. What it prints goes beside that folder.
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
  const auto seconds = [](const timeval& t) { return double(t.tv_sec) + 1e-6 * double(t.tv_usec); };
  return {WIFEXITED(state) ? WEXITSTATUS(state) : -1,
          WIFSIGNALED(state) ? WTERMSIG(state) : 0,
          seconds(usage.ru_utime) + seconds(usage.ru_stime),
          usage.ru_maxrss,
          read_file(out),
          read_file(err)};
}

// ---- Cases ----------------------------------------------------------------------------------------------

/// What a user does with the files. The tasks from kInitFrom on are of train_gpt.
enum class Task { kPrompt, kPerplexity, kExport, kFolder, kInitFrom, kResume, kContinue, kData, kTokenizer, kShard };

struct Case {
  std::string kind;
  Task task;
  Files files;
  std::map<std::string, std::string> links = {};  // names and targets
  Arguments arguments = {};

  std::string& operator[](const std::string& name) { return files.at(name); }
  bool trains() const { return task >= Task::kInitFrom; }
  bool reads_folder() const { return task == Task::kFolder || task == Task::kInitFrom; }
  std::string& tokenizer() { return files.at(reads_folder() ? "exported/tokenizer.json" : "tokenizer.json"); }
};

std::optional<Tokenizer> tokenizer_of(const std::string& json) {
  try {
    return Tokenizer::from_json(json, "");
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// What a run asks to agree: the hash of the tokenizer, the checksum of the weights, and all checksums.
void put_in_agreement(Case& c) {
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

/// Another model in place of that of the files, with all that belongs to it.
void put_model(Case& c, ModelConfig config) {
  if (c.reads_folder() || c.task == Task::kExport) {
    config.final_layernorm = true;
    config.head_bias = false;
  }
  Tensors weights{Tensors::of(c[kCheckpoint]).metadata, {}}, moments{Tensors::of(c[kOptimizer]).metadata, {}};
  for (const auto& [key, value] : config.to_metadata()) weights.metadata[key] = value;
  add_parameters(weights, config, "");
  for (const char* prefix : {"exp_avg.", "exp_avg_sq."}) add_parameters(moments, config, prefix);
  moments.metadata["flags"] = R"(["--data-path=text.txt"])";  // the others say its sizes
  c[kCheckpoint] = weights.file();
  c[kOptimizer] = moments.file();
  weights.metadata = {{"format", "pt"}};
  c[kWeights] = weights.file();
  c["exported/config.json"] = config_json(config, std::nullopt);
}

std::string change_json(const std::string& text, Random& random) {
  JsonMutator mutator(random);
  Json document = Json::parse(text);
  for (uint64_t n = 1 + random.below(3); n > 0; --n) mutator.mutate(document);
  return mutator.text(document);
}

/// tokenizer.json or GPT-2's two files, often with a model of as many tokens.
void change_tokenizer(Case& c, Random& random) {
  if (c.reads_folder() && random.chance(25)) {
    c.files.erase("exported/tokenizer.json");
    std::string& file = c[random.chance(50) ? "exported/vocab.json" : "exported/merges.txt"];
    file = file.starts_with('{') ? change_json(file, random) : damage(file + std::string(random.below(300'000), 'a'), random);
    return;
  }
  c.tokenizer() = change_json(c.tokenizer(), random);
  const auto tokenizer = tokenizer_of(c.tokenizer());
  if (!tokenizer || random.chance(40)) return;
  ModelConfig config = any_config(random, 1);
  config.vocab_size = tokenizer->vocab_size();
  if (config.parameter_count() < 80'000) put_model(c, config);
}

/// The files of a Hugging Face folder but for the weights and the tokenizer.
void change_folder(Case& c, Random& random) {
  if (random.chance(80)) {
    std::string& json = c[fmt::format("exported/{}.json", random.pick(std::array{"config", "config", "tokenizer_config"}))];
    json = change_json(json, random);
    return;
  }
  Json map = Json::object();  // weights in several files, of which there is one
  for (const auto& part : Tensors::of(c[kWeights]).parts) map[part.name] = "part.safetensors";
  c.files["exported/part.safetensors"] = c[kWeights];
  c.files["exported/model.safetensors.index.json"] = change_json(Json{{"weight_map", map}}.dump(), random);
  c.files.erase(kWeights);
}

void change_weights(Case& c, Random& random) { c[kWeights] = change_safetensors(c[kWeights], random); }
void change_checkpoint(Case& c, Random& random) { c[kCheckpoint] = change_safetensors(c[kCheckpoint], random); }
void change_optimizer(Case& c, Random& random) { c[kOptimizer] = change_safetensors(c[kOptimizer], random); }

/// A model of other sizes, sometimes of another vocabulary than the tokenizer's, and with strange values.
void change_model(Case& c, Random& random) {
  const int vocab_size = tokenizer_of(c.tokenizer())->vocab_size();
  put_model(c, any_config(random, random.chance(70) ? vocab_size : vocab_size - 30 + static_cast<int>(random.below(60))));
  if (random.chance(70)) return;
  std::string& file = c[c.reads_folder() ? kWeights : random.chance(50) ? kOptimizer : kCheckpoint];
  Tensors tensors = Tensors::of(file);
  for (int n = 0; n < 3; ++n) change_values(tensors.parts[random.below(tensors.parts.size())], random);
  file = tensors.file();
}

const std::vector<std::string> kStrangeFlags = {
    "--tensorboard=../beside/tb", "--tensorboard=../beside/tb", "--tensorboard=tb", "--help", "--version", "--list-devices",
    "-h", "--", "-", "", "positional", "--steps", "--steps=", "--=1", "--unknown=1", "[section]", "--config=/etc/passwd",
    "--config=tokenizer.json", "--run-name=../beside", "--run-name=other", "--reset", "--reset=true", "--resume",
    "--ckpt=gpt_checkpoint.bin", "--ckpt=../beside/sentinel", "--init-from=exported", "--device=hip", "--device=x",
    "--threads=4096", "--keep-last=0", "--ckpt-every=1", "--log-every=1", "--eval-every=1", "--sample-every=1",
    "--sample-prompt=", "--sample-prompt=\n\x1b[2J", "--sample-prompt=" + std::string(300'000, 'x'), "--val-fraction=0.9",
    "--val-fraction=1e-300", "--val-fraction=nan", "--lr=nan", "--lr=1e39", "--lr=1000", "--min-lr=1000", "--dropout=0.95",
    "--seed=9007199254740993", "--beta2=0.999999", "--grad-clip=1e-300", "--seq=1048576", "--dim=65536", "--layers=1024",
    "--preset=gpt2", "--vocab-size=16777216", "--tokenizer=tokenizer.json", "--tokenizer=/etc/passwd",
    "--data-path=../beside/sentinel", "--data-path=/dev/zero", "--data-path=exported", "--data-path=*", "--data-path=shard.bin",
    "--data-path=" + std::string(5000, '*') + "/", "--val-data-path=text.txt", "--head-bias=maybe"};

void change_list_of_flags(Json& flags, Random& random) {
  for (uint64_t n = 1 + random.below(3); n > 0; --n) {
    const size_t i = random.below(flags.size() + 1);
    const uint64_t what = random.below(10);
    if (what < 6 || i == flags.size()) {
      flags.insert(flags.begin() + static_cast<std::ptrdiff_t>(i), random.pick(kStrangeFlags));
    } else if (what < 8) {
      const std::string flag = flags[i];
      flags[i] = flag.substr(0, flag.find('=') + 1) + random.pick(kExtremeNumbers);
    } else {
      flags.erase(i);
    }
  }
}

/// The flags that --resume and --ckpt take over from the optimizer file, or from metrics.jsonl before there is one.
void change_flags(Case& c, Random& random) {
  if (c.task == Task::kResume && random.chance(30)) {
    std::string& metrics = c["metrics.jsonl"];
    Json first = Json::parse(metrics.substr(0, metrics.find('\n')));
    change_list_of_flags(first["run"]["flags"], random);
    metrics = first.dump() + "\n";
    for (const char* name : {kCheckpoint, kOptimizer}) c.files.erase(name);
    c.arguments = {"--dim", "4", "--heads", "1", "--layers", "1", "--ff", "4", "--seq", "8", "--preset", "default"};
    return;
  }
  Tensors tensors = Tensors::of(c[kOptimizer]);
  Json flags = Json::parse(tensors.metadata["flags"].get<std::string>());
  change_list_of_flags(flags, random);
  tensors.metadata["flags"] = random.chance(20) ? change_json(flags.dump(), random) : flags.dump();
  c[kOptimizer] = tensors.file();
}

void change_token_file(Case& c, Random& random) {
  c["tokens.bin"] = change_tokens(c["tokens.bin"], random, static_cast<uint64_t>(tokenizer_of(c.tokenizer())->vocab_size()));
  if (random.chance(20)) c.files["known_files.json"] = change_json(R"({"0123456789abcdef": 1})", random);
}

void change_shard(Case& c, Random& random) {
  c.files["shard.bin"] = any_shard(random, static_cast<uint64_t>(tokenizer_of(c.tokenizer())->vocab_size()));
}

void change_metrics(Case& c, Random& random) {
  std::string& file = c["metrics.jsonl"];
  Json lines = Json::array();
  for (size_t begin = 0; begin < file.size(); begin = file.find('\n', begin) + 1)
    lines.push_back(Json::parse(file.substr(begin, file.find('\n', begin) - begin)));
  JsonMutator mutator(random);
  for (uint64_t n = 1 + random.below(4); n > 0; --n) mutator.mutate(lines);
  file.clear();
  for (const Json& line : lines) file += mutator.text(line) + "\n";
}

/// Symbolic links in place of files.
void change_links(Case& c, Random& random) {
  for (uint64_t n = 1 + random.below(2); n > 0; --n) {
    const char* name = random.pick(std::array{"metrics.jsonl", "report.md", "loss.svg", "tokens.bin", "known_files.json",
                                              "tokenizer.json", "gpt_checkpoint.previous.bin", "new", kCheckpoint, kOptimizer});
    c.links[name] = random.pick(std::array{"../beside/sentinel", "../beside/new", "../beside", name, "/dev/zero", ".", "missing"});
    c.files.erase(name);
  }
}

struct Kind {
  const char* name;
  void (*change)(Case&, Random&);
  std::vector<Task> tasks;
  const char* damaged = "";  // the file whose bytes are changed too, now and then
};

const std::vector<Kind>& kinds() {
  using enum Task;
  static const std::vector<Kind> kKinds = {
      {"tokenizer", change_tokenizer, {kPrompt, kPerplexity, kExport, kFolder, kInitFrom, kResume, kData, kTokenizer},
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

/// The flags of a task. They bound the work, for a stranger's files may ask for a year of it.
Arguments arguments_for(Case& c, Random& random) {
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
  if (c.task == Task::kShard && random.chance(70)) add({"--data-path", "shard.bin"});
  else if (c.task == Task::kShard) add({"--data-path", "text.txt", "--val-data-path", "shard.bin"});
  if (!c.trains()) {
    add({"--num-tokens", "3", "--seed", "1", "--top-k", "0", "--threads", "1"});
    if (random.chance(20) && c.task != Task::kPerplexity) add({"--json", "--logprobs", "2"});
    if (random.chance(20)) add({"--num-samples", "3", "--rep-penalty", "1.5", "--top-p", "0.5"});
    return all;
  }
  add({"--steps", "3", "--batch", "2", "--grad-accum", "1", "--eval-batches", "1", "--sample-tokens", "2", "--threads", "1"});
  if (c.task >= Task::kData) add({"--dim", "4", "--heads", "2", "--layers", "1", "--ff", "4", "--seq", "8"});
  return all;
}

Case make_case(const Files& base, const Settings& settings, uint64_t i) {
  Random random(settings.seed, i);
  for (;;) {
    const Kind& kind = random.pick(kinds());
    if (!settings.only_kind.empty() && kind.name != settings.only_kind) continue;
    Case c{kind.name, random.pick(kind.tasks), base};
    kind.change(c, random);
    if (random.chance(90)) put_in_agreement(c);
    if (c.files.contains(kind.damaged) && random.chance(10)) c[kind.damaged] = damage(c[kind.damaged], random);
    c.arguments = arguments_for(c, random);
    if (std::ranges::none_of(c.files, [](const auto& file) { return file.second.size() >= kMostBytes; })) return c;
  }
}

// ---- The verdict ----------------------------------------------------------------------------------------

/// What is wrong with the way that a program ended, or "".
std::string fault_of(const Case& c, const Outcome& o) {
  if (o.signal != 0) return o.signal == SIGKILL ? "hung, or was killed" : fmt::format("ended by signal {}", o.signal);
  if (o.status < 0 || o.status > 2) return fmt::format("exit status {}", o.status);
  for (const char* words : {"Sanitizer", "runtime error:", "filesystem error", "json.exception", "std::", "basic_string",
                            "vector::", "map::at", "stoi", "terminate called", "what():", "bad_alloc", "internal error"}) {
    if (o.err.find(words) != std::string::npos) return fmt::format("\"{}\" in a message", words);
  }
  int lines = 0, messages = 0;
  const std::string begin = c.trains() ? "train_gpt: " : "generate: ";
  for (size_t at = 0; at < o.err.size(); at = std::min(o.err.find('\n', at), o.err.size() - 1) + 1, ++lines)
    messages += o.err.substr(at).starts_with(begin);
  // generate says facts of the model before it, and a run that is continued warns of what it passes over.
  const int most = c.task == Task::kResume || c.task == Task::kContinue ? 4 : 1;
  if (o.status != 0 && (messages < 1 || messages > most)) return fmt::format("{} messages for an error", messages);
  if (c.trains() && messages < lines) return "a line without the program's name";
  if (c.trains() && o.status == 0 && o.out.find("\ndone ") == std::string::npos) return "did not train";
  if (o.seconds > kMostSeconds) return fmt::format("took {:.1f} s", o.seconds);
  if (o.kilobytes > kMostKilobytes) return fmt::format("took {} MiB", o.kilobytes / 1024);
  return "";
}

void write_case(const Case& c, const fs::path& root) {
  fs::remove_all(root);
  for (const auto& [name, bytes] : c.files) write_file(root / "run" / name, bytes);
  for (const auto& [name, target] : c.links) fs::create_symlink(target, root / "run" / name);
  write_file(root / kSentinel, "text of another project\n");
}

/// Runs a case in a fresh folder, beside another one that has to stay as it is.
std::string check(const Settings& settings, const Case& c, const fs::path& root, Outcome& outcome) {
  write_case(c, root);
  outcome = run(root, c.trains() ? settings.train_gpt : settings.generate, c.arguments);
  const std::string fault = fault_of(c, outcome);
  if (!fault.empty()) return fault;
  std::map<std::string, std::string> around;
  for (const auto& entry : fs::directory_iterator(root)) around[entry.path().filename().string()];
  const bool same = around.size() == 4 && around.contains("run") && around.contains("stdout") &&
                    around.contains("stderr") && read_files(root / "beside") == Files{{"sentinel", "text of another project\n"}};
  return same ? "" : "wrote outside the folder of the run";
}

/// What is needed to look at a case again: the files as they were, and the command.
void keep(const Settings& settings, const Case& c, uint64_t i, const std::string& report) {
  const fs::path folder = settings.keep / fmt::format("{}-{}", c.kind, i);
  write_case(c, folder);
  std::string command = c.trains() ? settings.train_gpt : settings.generate;
  for (const std::string& argument : c.arguments) command += fmt::format(" '{}'", argument);
  write_file(folder / "command", command + "\n");
  write_file(folder / "report", report);
}

struct Summary {
  uint64_t right = 0, refused = 0, failed = 0;
  double seconds = 0.0;
  long kilobytes = 0;
};

// ---- The whole ------------------------------------------------------------------------------------------

/// The files that all cases come from.
Files make_base(const Settings& settings, const fs::path& root) {
  const auto must = [&](const std::string& program, const Arguments& arguments) {
    const Outcome o = run(root, program, arguments);
    if (o.status != 0) throw Error(fmt::format("{} cannot make the first files: {}", program, o.err));
  };
  std::string text;
  Random random(0, 0);
  for (int i = 0; i < 600; ++i) {
    text += random.pick(std::array{"the", "king", "shall", "not", "sleep", "while", "thunder", "rolls"});
    text += i % 60 == 59 ? "<|endoftext|>" : i % 9 == 8 ? ".\n" : " ";
  }
  write_file(root / "run/text.txt", text);
  must(settings.train_gpt,
       {"--data-path", "text.txt", "--vocab-size", "270", "--dim", "4", "--heads", "2", "--layers", "1", "--ff", "4", "--seq",
        "8", "--batch", "2", "--steps", "2", "--final-layernorm", "true", "--head-bias", "false", "--activation", "gelu",
        "--log-every", "1", "--sample-every", "1", "--sample-tokens", "2", "--threads", "1"});
  must(settings.generate, {"--export", "exported"});
  return read_files(root / "run");
}

Settings read_settings(int argc, char** argv) {
  std::map<std::string, std::string> flags;
  for (int i = 1; i + 1 < argc; i += 2) flags[argv[i]] = argv[i + 1];
  const auto take = [&](const char* name, const std::string& otherwise) {
    const auto node = flags.extract(name);
    return node ? node.mapped() : otherwise;
  };
  const auto number = [&](const char* name, const char* otherwise) { return std::stoull(take(name, otherwise)); };
  const auto path = [&](const char* name) {
    const std::string given = take(name, "");
    return given.empty() ? "" : fs::absolute(given).string();
  };
  Settings s{path("--train-gpt"), path("--generate"), take("--kind", ""), path("--keep"),
             number("--cases", "300"), number("--seed", "1"), number("--first", "0"), number("--jobs", "1")};
  const bool is_kind = std::ranges::any_of(kinds(), [&](const Kind& k) { return k.name == s.only_kind; });
  if (argc % 2 == 0 || !flags.empty() || s.train_gpt.empty() || s.generate.empty() || !(is_kind || s.only_kind.empty())) {
    throw Error("usage: mutate_files --train-gpt FILE --generate FILE [--cases N] [--seed N] [--first N] [--kind NAME] "
                "[--jobs N] [--keep DIR]");
  }
  return s;
}

int run_all(const Settings& settings, const fs::path& work) {
  const Files base = make_base(settings, work / "base");
  std::atomic<uint64_t> next = settings.first;
  std::mutex mutex;
  std::map<std::string, Summary> summaries;
  const auto worker = [&](const fs::path& folder) {
    for (uint64_t i; (i = next++) < settings.first + settings.cases;) {
      const Case c = make_case(base, settings, i);
      Outcome o;
      const std::string fault = check(settings, c, folder, o);
      const std::lock_guard lock(mutex);
      Summary& s = summaries[c.kind];
      ++(!fault.empty() ? s.failed : o.status == 0 ? s.right : s.refused);
      s.seconds = std::max(s.seconds, o.seconds);
      s.kilobytes = std::max(s.kilobytes, o.kilobytes);
      if (fault.empty()) continue;
      fmt::print("case {} ({}): {}: {}\n", i, c.kind, fault, o.err.substr(0, 300));
      std::fflush(stdout);
      if (!settings.keep.empty()) keep(settings, c, i, fmt::format("{}\n{}", fault, o.err));
    }
  };
  std::vector<std::thread> workers;
  for (uint64_t job = 0; job < settings.jobs; ++job) workers.emplace_back(worker, work / std::to_string(job));
  for (std::thread& thread : workers) thread.join();
  fmt::print("{:12} {:>7} {:>7} {:>7} {:>9} {:>9}\n", "kind", "right", "refused", "failed", "slowest", "largest");
  bool good = true;
  for (const auto& [kind, s] : summaries) {
    fmt::print("{:12} {:7} {:7} {:7} {:7.2f} s {:5} MiB\n", kind, s.right, s.refused, s.failed, s.seconds, s.kilobytes / 1024);
    good = good && s.failed == 0;
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace hipgpt::fuzz

int main(int argc, char** argv) {
  ::setenv("OPENBLAS_NUM_THREADS", "1", 1);
  std::string work = (std::filesystem::temp_directory_path() / "hipgpt-mutate-XXXXXX").string();
  int status = 1;
  try {
    const auto settings = hipgpt::fuzz::read_settings(argc, argv);
    if (::mkdtemp(work.data()) == nullptr) throw hipgpt::Error("no temporary folder");
    status = hipgpt::fuzz::run_all(settings, work);
  } catch (const std::exception& error) {
    std::fputs(fmt::format("mutate_files: {}\n", error.what()).c_str(), stderr);
  }
  std::error_code ignored;
  std::filesystem::remove_all(work, ignored);
  return status;
}

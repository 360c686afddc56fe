// Tests files from strangers. Makes a small run with the two programs, changes the structure of its files,
// corrects all checksums, and runs the programs on the result, as a user would. A case depends only on --seed
// and its number. It passes if a program does its work, or refuses in one line, within 5 s and 1 GiB, and
// touches nothing outside its folder.
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

#include "mutate_cases.h"

namespace hipgpt::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr double kMostSeconds = 5.0;  // of CPU time
constexpr long kMostKilobytes = 1 << 20;
constexpr rlim_t kStoppedAfter = 10;                  // seconds of CPU time; more than that is a hang
constexpr auto kHang = std::chrono::seconds(120);     // of waiting, on a machine that may be busy
constexpr size_t kMostBytes = 1'000'000;              // of a file
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
    if (entry.is_regular_file())
      files[entry.path().lexically_relative(folder).string()] = read_file(entry.path());
  return files;
}

struct Outcome {
  int status = -1, signal = 0;
  double seconds = 0.0;  // of CPU time
  long kilobytes = 0;    // peak
  std::string out, err;
};

/// Makes only calls that are safe between fork and exec in a process with threads.
[[noreturn]] void become(const char* folder, char** argv, const char* out, const char* err) {
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  const rlimit cpu{kStoppedAfter, kStoppedAfter};
  ::setrlimit(RLIMIT_CPU, &cpu);
  const int write = O_WRONLY | O_CREAT | O_TRUNC;
  const int streams[] = {::open("/dev/null", O_RDONLY), ::open(out, write, 0666), ::open(err, write, 0666)};
  for (int i = 0; i < 3; ++i) ::dup2(streams[i], i);
  if (::chdir(folder) == 0) ::execv(argv[0], argv);
  ::_exit(127);
}

/// Runs a program in root/run. Its output goes to files next to that folder.
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

// ---- Cases and verdicts -----------------------------------------------------------------------------------

Case make_case(const Files& base, const Settings& settings, uint64_t i) {
  Random random(settings.seed, i);
  for (;;) {
    const Kind& kind = random.pick(kinds());
    if (!settings.only_kind.empty() && kind.name != settings.only_kind) continue;
    Case c{kind.name, random.pick(kind.tasks), base};
    kind.change(c, random);
    if (random.chance(90)) put_in_agreement(c);
    if (c.files.contains(kind.damaged) && random.chance(10))
      c[kind.damaged] = damage(c[kind.damaged], random);
    c.arguments = arguments_for(c, random);
    if (std::ranges::none_of(c.files, [](const auto& file) { return file.second.size() >= kMostBytes; }))
      return c;
  }
}

/// Returns what is wrong with how a program ended, or "".
std::string fault_of(const Case& c, const Outcome& o) {
  if (o.signal != 0)
    return o.signal == SIGKILL ? "hung, or was killed" : fmt::format("ended by signal {}", o.signal);
  if (o.status < 0 || o.status > 2) return fmt::format("exit status {}", o.status);
  for (const char* words :
       {"Sanitizer", "runtime error:", "filesystem error", "json.exception", "std::", "basic_string",
        "vector::", "map::at", "stoi", "terminate called", "what():", "bad_alloc", "internal error"}) {
    if (o.err.find(words) != std::string::npos) return fmt::format("\"{}\" in a message", words);
  }
  int lines = 0, messages = 0;
  const std::string begin = c.trains() ? "train_gpt: " : "generate: ";
  for (size_t at = 0; at < o.err.size(); at = std::min(o.err.find('\n', at), o.err.size() - 1) + 1, ++lines)
    messages += o.err.substr(at).starts_with(begin);
  // generate prints facts about the model first, and a continued run warns about what it skips.
  const int most = c.task == Task::kResume || c.task == Task::kContinue ? 4 : 1;
  if (o.status != 0 && (messages < 1 || messages > most))
    return fmt::format("{} messages for an error", messages);
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

/// Runs a case in a fresh folder, next to another one that must stay unchanged.
std::string check(const Settings& settings, const Case& c, const fs::path& root, Outcome& outcome) {
  write_case(c, root);
  outcome = run(root, c.trains() ? settings.train_gpt : settings.generate, c.arguments);
  const std::string fault = fault_of(c, outcome);
  if (!fault.empty()) return fault;
  std::map<std::string, std::string> around;
  for (const auto& entry : fs::directory_iterator(root)) around[entry.path().filename().string()];
  const bool same = around.size() == 4 && around.contains("run") && around.contains("stdout") &&
                    around.contains("stderr") &&
                    read_files(root / "beside") == Files{{"sentinel", "text of another project\n"}};
  return same ? "" : "wrote outside the folder of the run";
}

/// Saves what is needed to reproduce a case: the original files and the command.
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

// ---- Running all cases ----------------------------------------------------------------------------------

/// Makes the files that all cases start from.
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
  must(settings.train_gpt, {"--data-path",
                            "text.txt",
                            "--vocab-size",
                            "270",
                            "--dim",
                            "4",
                            "--heads",
                            "2",
                            "--layers",
                            "1",
                            "--ff",
                            "4",
                            "--seq",
                            "8",
                            "--batch",
                            "2",
                            "--steps",
                            "2",
                            "--final-layernorm",
                            "true",
                            "--head-bias",
                            "false",
                            "--activation",
                            "gelu",
                            "--log-every",
                            "1",
                            "--sample-every",
                            "1",
                            "--sample-tokens",
                            "2",
                            "--threads",
                            "1"});
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
  const auto number = [&](const char* name, const char* otherwise) {
    return std::stoull(take(name, otherwise));
  };
  const auto path = [&](const char* name) {
    const std::string given = take(name, "");
    return given.empty() ? "" : fs::absolute(given).string();
  };
  Settings s{path("--train-gpt"),      path("--generate"),    take("--kind", ""),     path("--keep"),
             number("--cases", "300"), number("--seed", "1"), number("--first", "0"), number("--jobs", "1")};
  const bool is_kind = std::ranges::any_of(kinds(), [&](const Kind& k) { return k.name == s.only_kind; });
  if (argc % 2 == 0 || !flags.empty() || s.train_gpt.empty() || s.generate.empty() ||
      !(is_kind || s.only_kind.empty())) {
    throw Error(
        "usage: mutate_files --train-gpt FILE --generate FILE [--cases N] [--seed N] [--first N] [--kind "
        "NAME] "
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
  fmt::print("{:12} {:>7} {:>7} {:>7} {:>9} {:>9}\n", "kind", "right", "refused", "failed", "slowest",
             "largest");
  bool good = true;
  for (const auto& [kind, s] : summaries) {
    fmt::print("{:12} {:7} {:7} {:7} {:7.2f} s {:5} MiB\n", kind, s.right, s.refused, s.failed, s.seconds,
               s.kilobytes / 1024);
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
    if (::mkdtemp(work.data()) == nullptr) throw hipgpt::Error("cannot create a temporary folder");
    status = hipgpt::fuzz::run_all(settings, work);
  } catch (const std::exception& error) {
    std::fputs(fmt::format("mutate_files: {}\n", error.what()).c_str(), stderr);
  }
  std::error_code ignored;
  std::filesystem::remove_all(work, ignored);
  return status;
}

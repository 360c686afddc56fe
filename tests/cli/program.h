// Helpers shared by the tests of the two programs: a fresh folder, ways to run the programs in it as a user
// does, and assertions on the results.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace hipgpt {

namespace fs = std::filesystem;

using Arguments = std::vector<std::string>;
using Flags = std::map<std::string, std::string>;

/// How a program ended and what it printed.
struct Result {
  int status = -1;  ///< the exit status; -1 if a signal ended the program
  int signal = 0;   ///< the signal that ended the program; SIGKILL if it hung
  std::string out, err;
};

inline std::ostream& operator<<(std::ostream& stream, const Result& r) {
  return stream << "exit status " << r.status << ", signal " << r.signal << "\n--- stdout\n"
                << r.out << "--- stderr\n"
                << r.err;
}

/// Where a program's standard output goes. A pipe without a reader comes in two kinds. Under a shell, SIGPIPE
/// ends the writer; under a parent that ignores this signal, the writer gets an error.
enum class Stdout { kFile, kClosed, kFull, kBrokenPipe, kBrokenPipeIgnored };
enum class Stderr { kFile, kClosed };

inline std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const fs::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

inline std::string last_line(const std::string& text) {
  const auto lines = lines_of(text);
  return lines.empty() ? "" : lines.back();
}

/// "--steps 3 --lr 1" from {{"--steps", "3"}, {"--lr", "1"}}.
inline Arguments to_arguments(const Flags& flags) {
  Arguments arguments;
  for (const auto& [flag, value] : flags) arguments.insert(arguments.end(), {flag, value});
  return arguments;
}

/// Returns words that a BPE tokenizer can learn from, in an order that looks random but is always the same.
inline std::string sample_text(int words = 1200, unsigned seed = 1) {
  static const char* const kWords[] = {"the",     "king",  "shall", "not",  "sleep", "while",
                                       "thunder", "rolls", "over",  "high", "hills"};
  std::string text;
  for (int i = 0; i < words; ++i) {
    seed = seed * 1664525u + 1013904223u;
    text += kWords[(seed >> 16) % std::size(kWords)];
    text += i % 9 == 8 ? ".\n" : " ";
  }
  return text;
}

/// A fresh folder, removed with its contents. It is the working folder of the programs.
class CliTest : public ::testing::Test {
 protected:
  CliTest() {
    std::string pattern = (fs::temp_directory_path() / "hipgpt-cli-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot create a temporary folder");
    root_ = pattern;
    folder_ = root_ / "work";
    fs::create_directory(folder_);
  }
  ~CliTest() override {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  Result run(const std::string& program, const Arguments& arguments, Stdout out = Stdout::kFile,
             Stderr err = Stderr::kFile) const {
    return finish(start(program, arguments, out, err), out, err);
  }

  /// The two halves of run(). Only one program at a time may write its output to files.
  pid_t start(const std::string& program, const Arguments& arguments, Stdout out = Stdout::kFile,
              Stderr err = Stderr::kFile) const {
    const pid_t child = ::fork();
    if (child == 0) become(program, arguments, out, err);
    return child;
  }
  Result finish(pid_t child, Stdout out = Stdout::kFile, Stderr err = Stderr::kFile) const {
    Result result = wait_for(child);
    result.out = out == Stdout::kFile ? read_file(root_ / "stdout") : "";
    result.err = err == Stderr::kFile ? read_file(root_ / "stderr") : "";
    return result;
  }

  /// Runs train_gpt with exactly these arguments.
  Result train_gpt(const Arguments& arguments, Stdout out = Stdout::kFile, Stderr err = Stderr::kFile) const {
    return run(HIPGPT_TRAIN_GPT, arguments, out, err);
  }

  Result generate(const Arguments& arguments, Stdout out = Stdout::kFile, Stderr err = Stderr::kFile) const {
    return run(HIPGPT_GENERATE, arguments, out, err);
  }

  /// Runs generate with this text on its standard input.
  Result generate_reading(std::string_view text, const Arguments& arguments) {
    standard_input_ = root_ / "stdin";
    write_file(standard_input_, text);
    const Result result = generate(arguments);
    standard_input_ = "/dev/null";
    return result;
  }

  /// Returns the flags of a small, quick run on text.txt, with some changed or added.
  static Flags small(Flags changes = {}) {
    changes.merge(Flags{{"--data-path", "text.txt"},
                        {"--vocab-size", "300"},
                        {"--dim", "16"},
                        {"--heads", "2"},
                        {"--layers", "1"},
                        {"--ff", "16"},
                        {"--seq", "8"},
                        {"--batch", "4"},
                        {"--steps", "4"},
                        {"--threads", "1"}});
    return changes;
  }

  /// Runs a small training.
  Result train(const Flags& changes = {}, const Arguments& more = {}) const {
    Arguments arguments = to_arguments(small(changes));
    arguments.insert(arguments.end(), more.begin(), more.end());
    return train_gpt(arguments);
  }

  fs::path path(const std::string& name) const { return folder_ / name; }
  std::string read(const std::string& name) const { return read_file(path(name)); }
  void write(const std::string& name, std::string_view bytes) const { write_file(path(name), bytes); }
  void write_text() const { write("text.txt", sample_text()); }
  bool exists(const std::string& name) const { return fs::exists(fs::symlink_status(path(name))); }

  /// Returns everything below the working folder by name: the bytes of files, the targets of links, and ""
  /// for folders.
  std::map<std::string, std::string> snapshot() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
      const std::string name = entry.path().lexically_relative(folder_);
      if (entry.is_symlink()) {
        all[name] = "-> " + fs::read_symlink(entry.path()).string();
      } else {
        all[name] = entry.is_regular_file() ? read_file(entry.path()) : "";
      }
    }
    return all;
  }

  fs::path root_, folder_;
  rlim_t largest_file_ = RLIM_INFINITY;  ///< bytes that the programs may write into one file
  rlim_t addresses_ = RLIM_INFINITY;     ///< bytes of their address space (ulimit -v)

 private:
  fs::path standard_input_ = "/dev/null";

  /// Runs in the child and never returns.
  [[noreturn]] void become(const std::string& program, const Arguments& arguments, Stdout out,
                           Stderr err) const {
    if (::chdir(folder_.c_str()) != 0) ::_exit(126);
    const rlimit file_limit = {largest_file_, RLIM_INFINITY}, address_limit = {addresses_, RLIM_INFINITY};
    if (::setrlimit(RLIMIT_FSIZE, &file_limit) != 0) ::_exit(126);
    if (::setrlimit(RLIMIT_AS, &address_limit) != 0) ::_exit(126);
    connect(standard_input_, O_RDONLY, STDIN_FILENO);
    if (err == Stderr::kFile) connect(root_ / "stderr", O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
    if (err == Stderr::kClosed) ::close(STDERR_FILENO);
    connect_stdout(out);
    std::vector<char*> argv = {const_cast<char*>(program.c_str())};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }

  void connect_stdout(Stdout out) const {
    ::signal(SIGPIPE, out == Stdout::kBrokenPipeIgnored ? SIG_IGN : SIG_DFL);
    switch (out) {
      case Stdout::kFile: connect(root_ / "stdout", O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO); break;
      case Stdout::kFull: connect("/dev/full", O_WRONLY, STDOUT_FILENO); break;
      case Stdout::kClosed: ::close(STDOUT_FILENO); break;
      case Stdout::kBrokenPipe:
      case Stdout::kBrokenPipeIgnored:
        int ends[2];
        if (::pipe(ends) != 0) ::_exit(126);
        ::dup2(ends[1], STDOUT_FILENO);
        ::close(ends[0]);
        ::close(ends[1]);
        break;
    }
  }

  static void connect(const fs::path& file, int mode, int descriptor) {
    const int opened = ::open(file.c_str(), mode, 0666);
    if (opened < 0) ::_exit(126);
    if (opened == descriptor) return;
    ::dup2(opened, descriptor);
    ::close(opened);
  }

  static Result wait_for(pid_t child) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    int state = 0;
    for (auto pause = std::chrono::microseconds(200); ::waitpid(child, &state, WNOHANG) == 0;
         pause = std::min(2 * pause, std::chrono::microseconds(1000))) {
      if (std::chrono::steady_clock::now() > deadline) ::kill(child, SIGKILL);
      std::this_thread::sleep_for(pause);
    }
    Result result;
    if (WIFEXITED(state)) result.status = WEXITSTATUS(state);
    if (WIFSIGNALED(state)) result.signal = WTERMSIG(state);
    return result;
  }
};

inline ::testing::AssertionResult succeeds(const Result& r) {
  if (r.status == 0) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << r;
}

/// Succeeds if the program exited by itself with a nonzero status and one line on standard error. The line
/// begins with the program's name and contains `words`.
inline ::testing::AssertionResult refuses(const Result& r, const std::string& words = "") {
  const bool one_line = std::count(r.err.begin(), r.err.end(), '\n') == 1 && r.err.ends_with('\n');
  const bool named = r.err.starts_with("train_gpt: ") || r.err.starts_with("generate: ");
  if (r.status > 0 && r.status < 126 && one_line && named && r.err.find(words) != std::string::npos) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << "expected: a refusal, in one line that says \"" << words << "\"\n"
                                       << r;
}

/// While it lives, the programs start with `library` preloaded and the environment variable that configures
/// it.
class Preloaded {
 public:
  Preloaded(const char* library, const char* variable, const std::string& value) : variable_(variable) {
    const char* options = std::getenv("ASAN_OPTIONS");
    options_ = options == nullptr ? "" : options;
    ::setenv("LD_PRELOAD", library, 1);
    ::setenv(variable, value.c_str(), 1);
    ::setenv("ASAN_OPTIONS", (options_ + ":verify_asan_link_order=0").c_str(), 1);
  }
  ~Preloaded() {
    ::unsetenv("LD_PRELOAD");
    ::unsetenv(variable_);
    ::setenv("ASAN_OPTIONS", options_.c_str(), 1);
  }
  Preloaded(const Preloaded&) = delete;
  Preloaded& operator=(const Preloaded&) = delete;

 private:
  const char* variable_;
  std::string options_;
};

/// Reports the names that differ, because bytes make poor messages.
inline ::testing::AssertionResult same_files(const std::map<std::string, std::string>& before,
                                             const std::map<std::string, std::string>& after) {
  std::string differences;
  for (const auto& [name, bytes] : before) {
    const auto found = after.find(name);
    if (found == after.end()) differences += " removed " + name;
    if (found != after.end() && found->second != bytes) differences += " changed " + name;
  }
  for (const auto& [name, bytes] : after) {
    if (!before.contains(name)) differences += " new " + name;
  }
  if (differences.empty()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "files:" << differences;
}

/// Expects a refusal that leaves every file unchanged.
#define EXPECT_REFUSED(result_of, words)         \
  do {                                           \
    const auto before = snapshot();              \
    EXPECT_TRUE(refuses(result_of, words));      \
    EXPECT_TRUE(same_files(before, snapshot())); \
  } while (false)

}  // namespace hipgpt

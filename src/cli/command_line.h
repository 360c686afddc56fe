// CommandLine: the command-line parser of both executables.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "run_flags.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace hipgpt {

/// A declared flag, for setting further properties.
class Flag {
 public:
  explicit Flag(CLI::Option* option) : option_(option) {}

  /// --help shows the current value of the variable.
  Flag& show_default();

  /// --help shows this text instead.
  Flag& show_default(const std::string& text);

  /// The flag may appear without a value and then has this one.
  Flag& value_may_be_missing(const std::string& instead);

  Flag& one_of(std::initializer_list<const char*> values);

  // The other flag must already be declared.
  Flag& excludes(const char* name);
  Flag& excludes(const Flag& other);
  Flag& needs(const char* name);

 private:
  CLI::Option* option_;
};

/// Wraps the library CLI11 with five conventions. `_` and `-` are the same in a flag. If a flag is given
/// twice, its last value counts, or all values if it takes several. Numbers have a range, which excludes NaN.
/// A mistake is one line on standard error and exit status 2. Flags may also come from a file (--config).
/// CLI11's headers take long to compile, so only command_line.cpp includes them and lists the value types.
class CommandLine {
 public:
  CommandLine(const std::string& program, const std::string& description);

  /// For flags that a program saved in its own file. Only declared flags are valid, so --help and --config
  /// are not.
  CommandLine();
  ~CommandLine();

  /// An option with a value. `name` is spelled with '-'.
  template <typename T>
  Flag option(const char* name, T& value, const char* help);

  /// A name, for example of a file. It must not be empty, as it would be with an unset shell variable.
  template <typename T>
  Flag name(const char* flag, T& value, const char* help);

  /// A number from `lowest` to `highest`: a whole number, or one within the range of single precision.
  template <typename T>
  Flag number(const char* name, T& value, double lowest, double highest, const char* help);

  Flag true_or_false(const char* name, std::optional<bool>& value, const char* help);

  Flag flag(const char* name, bool& value, const char* help);

  /// --device and --dtype.
  void device(std::string& name, std::string& dtype);

  /// --threads, --gpus, --list-devices and --check-device.
  void machine(int& threads, int& gpus);

  /// Sets the heading in --help for the options that follow.
  void group(const char* name) { group_ = name; }

  /// Returns true if the program should do its work; otherwise `exit_status` is the status to exit with.
  bool parse(const std::vector<std::string>& arguments, int& exit_status);
  bool parse(int argc, char** argv, int& exit_status) { return parse({argv + 1, argv + argc}, exit_status); }

  /// After parse(): the flags given on the command line or in a file.
  RunFlags given() const;

  /// Whether a flag with this name, spelled without "--", is declared.
  bool declares(const std::string& name) const;

  /// Reads declared flags. Throws Error for a value out of range.
  void read(const RunFlags& flags);

 private:
  std::string program_;
  std::string group_ = "Options";
  std::unique_ptr<CLI::App> app_;
};

}  // namespace hipgpt

// CommandLine: flags the way both executables want them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace hipgpt {

/// A flag that was declared, to say more of it.
class Flag {
 public:
  explicit Flag(CLI::Option* option) : option_(option) {}

  /// --help shows the value that the variable has now.
  Flag& show_default();

  /// --help shows this in its place.
  Flag& show_default(const std::string& text);

  /// The flag may stand without a value, and then has this one.
  Flag& value_may_be_missing(const std::string& instead);

  Flag& one_of(std::initializer_list<const char*> values);

  // The other flag is declared already.
  Flag& excludes(const std::string& name);
  Flag& excludes(const Flag& other);
  Flag& needs(const std::string& name);

 private:
  CLI::Option* option_;
};

/// The library CLI11 with four habits: `_` and `-` are the same in a flag, numbers have a range that NaN is
/// outside of, a mistake is one line on standard error and exit status 2, and flags may also stand in a file
/// (--config). Its headers take long to compile, so command_line.cpp alone includes them, and names the types
/// that values have.
class CommandLine {
 public:
  CommandLine(const std::string& program, const std::string& description);

  /// For flags that a program saved in a file of its own: nothing but what is declared is a flag, so neither
  /// --help nor --config is one.
  CommandLine();
  ~CommandLine();

  /// An option with a value. `name` is spelled with '-'.
  template <typename T>
  Flag option(const std::string& name, T& value, const std::string& help);

  /// A name, of a file for example: not empty, as an unset variable of a shell script would make it.
  template <typename T>
  Flag name(const std::string& flag, T& value, const std::string& help);

  /// A number from `lowest` to `highest`: a whole one, or one that is also a number in single precision.
  template <typename T>
  Flag number(const std::string& name, T& value, double lowest, double highest, const std::string& help);

  Flag true_or_false(const std::string& name, std::optional<bool>& value, const std::string& help);

  Flag flag(const std::string& name, bool& value, const std::string& help);

  /// --device.
  void device(std::string& name);

  /// --threads and --list-devices.
  void machine(int& threads);

  /// The heading in --help for the options that follow.
  void group(const std::string& name) { group_ = name; }

  /// True if the command line asks for work to be done; otherwise `exit_status` says how to end.
  bool parse(const std::vector<std::string>& arguments, int& exit_status);
  bool parse(int argc, char** argv, int& exit_status) { return parse({argv + 1, argv + argc}, exit_status); }

  /// After parse(): the flags that were given, there or in a file, as "--name=value".
  std::vector<std::string> given() const;

  /// Whether "--name=value" is a flag that is declared, by that spelling. Its value is not looked at.
  bool declares(const std::string& flag) const;

  /// Reads flags "--name=value" that are declared. Error for a value that is out of range.
  void read(const std::vector<std::string>& flags);

 private:
  std::string program_;
  std::string group_ = "Options";
  std::unique_ptr<CLI::App> app_;
};

}  // namespace hipgpt

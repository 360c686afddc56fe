// CommandLine: flags the way both executables want them.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace hipgpt {

/// CLI11 with four habits: `_` and `-` are the same in a flag, numbers have a range that NaN is outside of, a
/// mistake is one line on standard error and exit status 2, and flags may also stand in a file (--config).
class CommandLine {
  template <typename T>
  struct Inner {
    using Type = T;
  };
  template <typename T>
  struct Inner<std::optional<T>> {
    using Type = T;
  };

 public:
  CommandLine(const std::string& program, const std::string& description);

  /// For flags that a program saved in a file of its own: nothing but what is declared is a flag, so neither --help
  /// nor --config is one.
  CommandLine();

  /// An option with a value. `name` is spelled with '-'.
  template <typename T>
  CLI::Option* option(const std::string& name, T& value, const std::string& help) {
    return app_.add_option(spellings(name), value, help)->group(group_);
  }

  /// A name, of a file for example: not empty, as an unset variable of a shell script would make it.
  template <typename T>
  CLI::Option* name(const std::string& flag, T& value, const std::string& help) {
    return option(flag, value, help)->check(not_empty());
  }

  /// A whole number from `lowest` to `highest`.
  template <typename T>
  requires std::is_integral_v<typename Inner<T>::Type> CLI::Option* number(const std::string& name, T& value,
                                                                           int64_t lowest, int64_t highest,
                                                                           const std::string& help) {
    return option(name, value, help)->check(whole_in_range(lowest, highest));
  }

  /// A number from `lowest` to `highest`, that is also one in single precision.
  template <typename T>
  requires std::is_floating_point_v<typename Inner<T>::Type> CLI::Option* number(const std::string& name,
                                                                                 T& value, double lowest,
                                                                                 double highest,
                                                                                 const std::string& help) {
    return option(name, value, help)->check(in_range(lowest, highest));
  }

  CLI::Option* true_or_false(const std::string& name, std::optional<bool>& value, const std::string& help) {
    return option(name, value, help)->check(CLI::IsMember({"true", "false"}));
  }

  CLI::Option* flag(const std::string& name, bool& value, const std::string& help) {
    return app_.add_flag(spellings(name), value, help)->group(group_);
  }

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
  static std::string spellings(const std::string& name);
  static CLI::Validator whole_in_range(int64_t lowest, int64_t highest);
  static CLI::Validator in_range(double lowest, double highest);
  static CLI::Validator not_empty();

  std::string program_;
  std::string group_ = "Options";
  CLI::App app_;
};

}  // namespace hipgpt

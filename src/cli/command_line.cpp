#include "cli/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <optional>
#include <sstream>
#include <type_traits>

#include "cli/flag_texts.h"
#include "device.h"
#include "device/compare_with_cpu.h"
#include "error.h"
#include "generation/standard_streams.h"
#include "util/limited_input.h"
#include "util/print_error.h"

namespace hipgpt {

namespace {

/// Shows an option under its first spelling only, with its type and default. Conflicts between flags are
/// reported when they happen, not in the help.
class Help : public CLI::Formatter {
 public:
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    if (is_positional || option->get_lnames().empty())
      return Formatter::make_option_name(option, is_positional);
    return std::string("--").append(option->get_lnames().front());
  }

  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string type = option->get_type_name(), preset = option->get_default_str();
    if (type.empty()) return "";
    if (option->get_expected_min() == 0) return " [" + type + "]";
    return " " + type + (preset.empty() ? "" : "=" + preset);
  }
};

/// The file of --config, in CLI11's format. It is read up to a limit, because a file such as /dev/zero has no
/// end. A pipe also works. All lines of a flag count, as on the command line, and a flag with one value may
/// have only one: CLI11 would ignore all lines but the first.
class FlagFile : public CLI::ConfigBase {
 public:
  explicit FlagFile(const CLI::App& app) : app_(app) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::istringstream text(read(input));
    std::vector<CLI::ConfigItem> items;
    for (CLI::ConfigItem& item : ConfigBase::from_config(text)) {
      const auto same = std::ranges::find_if(items, [&](const CLI::ConfigItem& other) {
        return option(item) != nullptr && option(item) == option(other);
      });
      if (same == items.end()) {
        items.push_back(std::move(item));
      } else {
        std::ranges::move(item.inputs, std::back_inserter(same->inputs));
      }
    }
    if (text.bad()) throw std::bad_alloc();  // std::getline() only sets this bit
    for (const CLI::ConfigItem& item : items) {
      const CLI::Option* flag = option(item);
      if (flag != nullptr && flag->get_expected_max() <= 1 && item.inputs.size() > 1) {
        throw CLI::ConfigError(fmt::format("--{}: has {} values; give one", item.name, item.inputs.size()));
      }
    }
    return items;
  }

 private:
  /// The option of an item, or nullptr for an unknown name and for items that are in a section.
  const CLI::Option* option(const CLI::ConfigItem& item) const {
    return item.parents.empty() ? app_.get_option_no_throw("--" + item.name) : nullptr;
  }

  static std::string read(std::istream& input) try {
    const auto size = input.rdbuf()->pubseekoff(0, std::ios::end, std::ios::in);  // -1: a pipe
    if (size > 0 && static_cast<size_t>(size) > kLongestInput) fail_as_too_long("--config");
    if (size > 0) input.rdbuf()->pubseekoff(0, std::ios::beg, std::ios::in);
    return read_all(input, "--config");
  } catch (const Error& mistake) {
    throw CLI::ConfigError(mistake.what());
  }

  const CLI::App& app_;
};

/// False for digits that strtod would read in another base, or that a conversion would read as octal.
bool is_decimal(const std::string& text) {
  const size_t first = text.starts_with("-") ? 1 : 0;
  return text.find_first_of("xXpP") == std::string::npos &&
         !(text.size() > first + 1 && text[first] == '0' && std::isdigit(text[first + 1]));
}

/// "--top-k" -> "--top-k,--top_k".
std::string spellings(const std::string& name) {
  std::string other = name;
  std::replace(other.begin() + 2, other.end(), '-', '_');
  return other == name ? name : fmt::format("{},{}", name, other);
}

CLI::Validator whole_in_range(int64_t lowest, int64_t highest) {
  const auto check = [lowest, highest](const std::string& text) -> std::string {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = error == std::errc() && end == text.data() + text.size() && is_decimal(text);
    if (whole && value >= lowest && value <= highest) return "";
    return fmt::format("'{}' is not a whole number from {} to {}", text, lowest, highest);
  };
  return CLI::Validator(check, "", "range");
}

CLI::Validator in_range(double lowest, double highest) {
  const auto check = [lowest, highest](const std::string& text) -> std::string {
    char* end = nullptr;
    errno = 0;
    const double value = std::strtod(text.c_str(), &end);
    const bool vanished = errno == ERANGE && std::abs(value) < 1.0;
    const bool number = end != text.c_str() && end == text.c_str() + text.size() && is_decimal(text);
    if (!number || !(value >= lowest && value <= highest))  // also where it is NaN
      return fmt::format("'{}' is not a number from {} to {}", text, lowest, highest);
    // The devices compute in single precision. A value below its range would become 0, which often means
    // "off".
    if (!vanished && (value == 0.0 || std::isnormal(static_cast<float>(value)))) return "";
    return fmt::format("'{}' is out of range for single precision; use 0 or {:.3g} to {:.3g}", text,
                       std::numeric_limits<float>::min(), std::numeric_limits<float>::max());
  };
  return CLI::Validator(check, "", "range");
}

CLI::Validator is_device() {
  const auto check = [](const std::string& text) -> std::string {
    const bool numbered = text.starts_with("hip:") && text.size() > 4 && text.size() < 9 &&
                          text.find_first_not_of("0123456789", 4) == std::string::npos;
    if (numbered || text == "auto" || text == "cpu" || text == "hip") return "";
    return fmt::format("{} is not auto, cpu, hip or hip:N (--list-devices shows them)", text);
  };
  return CLI::Validator(check, "{auto,cpu,hip,hip:N}", "device");
}

CLI::Validator not_empty() {
  const auto check = [](const std::string& text) -> std::string { return text.empty() ? "is empty" : ""; };
  return CLI::Validator(check, "", "name");
}

/// Adds an option. If it appears more than once, its last value counts, or all values of a list.
template <typename T>
CLI::Option* add(CLI::App& app, const std::string& group, const std::string& name, T& value,
                 const char* help) {
  CLI::Option* option = app.add_option(spellings(name), value, help)->group(group);
  if constexpr (!std::is_same_v<T, std::vector<std::string>>) option->take_last();
  return option;
}

/// "TEXT:{relu,gelu}" -> relu and gelu.
std::vector<std::string> choices_in(const std::string& type) {
  std::vector<std::string> choices;
  const size_t begin = type.find('{');
  if (begin == std::string::npos) return choices;
  std::istringstream words(type.substr(begin + 1, type.find('}') - begin - 1));
  for (std::string word; std::getline(words, word, ',');) choices.push_back(word);
  return choices;
}

ProgramText text_of(const CLI::App& app) {
  ProgramText program{app.get_name(), HIPGPT_VERSION, app.get_description(), {}};
  for (const CLI::Option* option : app.get_options()) {
    const std::string type = option->get_type_name();
    program.flags.push_back({.name = "--" + option->get_lnames().front(),
                             .group = option->get_group(),
                             .help = option->get_description(),
                             .type = type.substr(0, type.find(':')),
                             .choices = choices_in(type),
                             .preset = option->get_default_str(),
                             .value_may_be_missing = !type.empty() && option->get_expected_min() == 0});
  }
  return program;
}

template <typename T>
struct Inner {
  using Type = T;
};
template <typename T>
struct Inner<std::optional<T>> {
  using Type = T;
};

}  // namespace

Flag& Flag::show_default() {
  option_->capture_default_str();
  return *this;
}

Flag& Flag::show_default(const std::string& text) {
  option_->default_str(text);
  return *this;
}

Flag& Flag::value_may_be_missing(const std::string& instead) {
  option_->expected(0, 1)->default_str(instead);
  return *this;
}

Flag& Flag::one_of(std::initializer_list<const char*> values) {
  option_->check(CLI::IsMember(std::vector<std::string>(values.begin(), values.end())));
  return *this;
}

Flag& Flag::excludes(const char* name) {
  option_->excludes(name);
  return *this;
}

Flag& Flag::excludes(const Flag& other) {
  option_->excludes(other.option_);
  return *this;
}

Flag& Flag::needs(const char* name) {
  option_->needs(name);
  return *this;
}

CommandLine::CommandLine(const std::string& program, const std::string& description)
    : program_(program), app_(std::make_unique<CLI::App>(description, program)) {
  auto help = std::make_shared<Help>();
  help->column_width(26);
  app_->formatter(help);
  app_->set_version_flag("--version", program + " " HIPGPT_VERSION);
  app_->set_config("--config", "",
                   "Read flags from a file of lines 'name = value', 1 GiB at most; the command line wins")
      ->take_last()
      ->type_name("TEXT");
  app_->config_formatter(std::make_shared<FlagFile>(*app_));
  app_->allow_config_extras(CLI::config_extras_mode::error);
  const auto completions = [this](const std::string& shell) {
    const auto make = shell == "bash"  ? bash_completions
                      : shell == "zsh" ? zsh_completions
                                       : fish_completions;
    throw CLI::CallForVersion(make(text_of(*app_)), 0);  // parse() prints it and the program exits
  };
  app_->add_option_function<std::string>("--completions", completions,
                                         "Print a script that completes flags in this shell")
      ->configurable(false)
      ->take_last()
      ->check(CLI::IsMember(std::vector<std::string>{"bash", "zsh", "fish"}));
  const auto manual = [this] { throw CLI::CallForVersion(manual_page(text_of(*app_)), 0); };
  app_->add_flag_callback("--man", manual, "Print the manual page, for man -l")->configurable(false);
}

CommandLine::CommandLine() : app_(std::make_unique<CLI::App>()) {
  app_->set_help_flag();
}

CommandLine::~CommandLine() = default;

template <typename T>
Flag CommandLine::option(const char* name, T& value, const char* help) {
  return Flag(add(*app_, group_, name, value, help));
}

template <typename T>
Flag CommandLine::name(const char* flag, T& value, const char* help) {
  return Flag(add(*app_, group_, flag, value, help)->check(not_empty()));
}

template <typename T>
Flag CommandLine::number(const char* name, T& value, double lowest, double highest, const char* help) {
  const bool whole = std::is_integral_v<typename Inner<T>::Type>;
  const auto range = whole ? whole_in_range(static_cast<int64_t>(lowest), static_cast<int64_t>(highest))
                           : in_range(lowest, highest);
  return Flag(add(*app_, group_, name, value, help)->check(range));
}

// The value types of the two programs' flags.
template Flag CommandLine::option(const char*, std::string&, const char*);
template Flag CommandLine::option(const char*, std::optional<std::string>&, const char*);
template Flag CommandLine::name(const char*, std::string&, const char*);
template Flag CommandLine::name(const char*, std::vector<std::string>&, const char*);
template Flag CommandLine::number(const char*, int&, double, double, const char*);
template Flag CommandLine::number(const char*, int64_t&, double, double, const char*);
template Flag CommandLine::number(const char*, uint64_t&, double, double, const char*);
template Flag CommandLine::number(const char*, float&, double, double, const char*);
template Flag CommandLine::number(const char*, double&, double, double, const char*);
template Flag CommandLine::number(const char*, std::optional<int>&, double, double, const char*);
template Flag CommandLine::number(const char*, std::optional<int64_t>&, double, double, const char*);
template Flag CommandLine::number(const char*, std::optional<uint64_t>&, double, double, const char*);
template Flag CommandLine::number(const char*, std::optional<float>&, double, double, const char*);

Flag CommandLine::true_or_false(const char* name, std::optional<bool>& value, const char* help) {
  return option(name, value, help).one_of({"true", "false"});
}

Flag CommandLine::flag(const char* name, bool& value, const char* help) {
  return Flag(app_->add_flag(spellings(name), value, help)->group(group_));
}

void CommandLine::device(std::string& name, std::string& dtype) {
  const char* help = "auto (a GPU if there is one), cpu, hip, or hip:N for the GPU with that number";
  Flag(add(*app_, group_, "--device", name, help)->check(is_device())).show_default();
  Flag(add(*app_, group_, "--dtype", dtype,
           "Compute in this type; auto: bf16 if the GPU has matrix cores for it"))
      .one_of({"auto", "fp32", "bf16"})
      .show_default();
}

void CommandLine::machine(int& threads, int& gpus) {
  number("--threads", threads, 0, 4096, "CPU threads; 0: one per core").show_default();
  number("--gpus", gpus, 1, 4096, "Work on so many GPUs of this machine, each in a process of its own")
      .show_default();
  const auto list = [] {
    std::string text;
    for (const DeviceInfo& info : list_devices()) {
      text += fmt::format("{}{:<6} {}", text.empty() ? "" : "\n", info.name, info.description);
    }
    throw CLI::CallForVersion(text, 0);  // parse() prints it and the program exits
  };
  app_->add_flag_callback(spellings("--list-devices"), list, "Show what --device can choose from")
      ->group(group_);
  const auto check = [&threads](const std::string& name) {
    const auto device = make_device(name, threads);
    write_out(fmt::format("comparing {} with the CPU:\n", device->description()));
    const DeviceReport report = compare_with_cpu(*device, {}, threads, [](const OperationReport& operation) {
      write_out(fmt::format("  {}\n", operation.name));
    });
    throw CLI::CallForVersion("\n---- start of report ----\n" + text_of(report) + "---- end of report ----",
                              report.agrees() ? 0 : 1);
  };
  app_->add_option_function<std::string>(spellings("--check-device"), check,
                                         "Compare every operation of a device with the CPU's, and time it")
      ->take_last()
      ->check(is_device())
      ->type_name("TEXT")
      ->group(group_);
}

bool CommandLine::parse(const std::vector<std::string>& arguments, int& exit_status) {
  try {
    app_->parse(
        std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 expects them in reverse
    return true;
  } catch (const CLI::Success& asked) {  // --help, --version, --list-devices
    std::ostringstream text;
    exit_status = app_->exit(asked, text);
    write_out(text.str());
    return false;
  } catch (const CLI::ConfigError& mistake) {
    const auto* file = app_->get_config_ptr();
    print_error(program_, fmt::format("{}: {}", file->results().empty() ? "--config" : file->results().back(),
                                      mistake.what()));
  } catch (const CLI::Error& mistake) {
    print_error(program_, fmt::format("{} (--help lists the flags)", mistake.what()));
  }
  exit_status = 2;
  return false;
}

RunFlags CommandLine::given() const {
  RunFlags flags;
  for (const CLI::Option* option : app_->get_options()) {
    if (option != app_->get_config_ptr() && !option->empty())
      flags[option->get_lnames().front()] = option->reduced_results();
  }
  return flags;
}

bool CommandLine::declares(const std::string& name) const {
  return std::ranges::any_of(app_->get_options(), [&](const CLI::Option* option) {
    return !option->get_lnames().empty() && option->get_lnames().front() == name;
  });
}

void CommandLine::read(const RunFlags& flags) {
  std::vector<std::string> words;
  for (const auto& [name, values] : flags) {
    for (const std::string& value : values) words.push_back(fmt::format("--{}={}", name, value));
  }
  std::ranges::reverse(words);  // CLI11 expects them in reverse
  try {
    app_->parse(words);
  } catch (const CLI::Error& mistake) {
    throw Error(mistake.what());
  }
}

}  // namespace hipgpt

#include "cli/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace hipgpt {

namespace {

/// Shows an option under its first spelling only.
class Help : public CLI::Formatter {
 public:
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    if (is_positional || option->get_lnames().empty())
      return Formatter::make_option_name(option, is_positional);
    return std::string("--").append(option->get_lnames().front());
  }
};

}  // namespace

CommandLine::CommandLine(const std::string& program, const std::string& description)
    : program_(program), app_(description, program) {
  auto help = std::make_shared<Help>();
  help->column_width(26);
  app_.formatter(help);
  app_.set_version_flag("--version", program + " " HIPGPT_VERSION);
  app_.set_config("--config", "", "Read flags from a file of lines 'name = value'; the command line wins");
  app_.allow_config_extras(CLI::config_extras_mode::error);
}

bool CommandLine::parse(int argc, char** argv, int& exit_status) {
  try {
    app_.parse(argc, argv);
    return true;
  } catch (const CLI::Success& asked) {  // --help, --version
    exit_status = app_.exit(asked);
  } catch (const CLI::Error& mistake) {
    std::string message = mistake.what();
    std::replace(message.begin(), message.end(), '\n', ' ');
    fmt::print(stderr, "{}: {} (--help lists the flags)\n", program_, message);
    exit_status = 2;
  }
  return false;
}

/// "--top-k" -> "--top-k,--top_k".
std::string CommandLine::spellings(const std::string& name) {
  std::string other = name;
  std::replace(other.begin() + 2, other.end(), '-', '_');
  return other == name ? name : fmt::format("{},{}", name, other);
}

CLI::Validator CommandLine::in_range(double lowest, double highest) {
  const auto check = [lowest, highest](const std::string& text) -> std::string {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (end != text.c_str() && *end == '\0' && value >= lowest && value <= highest)
      return "";  // false for NaN
    return fmt::format("'{}' is not a number from {} to {}", text, lowest, highest);
  };
  return CLI::Validator(check, "", "range");
}

}  // namespace hipgpt

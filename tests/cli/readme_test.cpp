// Checks that the flag tables in README.md match --help: every flag of one is in the other, with the same
// default.
#include <cstdlib>
#include <optional>

#include "cli/program.h"

namespace hipgpt {
namespace {

/// Default values as shown, by flag; "" where there is none.
using Defaults = std::map<std::string, std::string>;

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" `"), end = text.find_last_not_of(" `");
  return begin == std::string::npos ? "" : text.substr(begin, end + 1 - begin);
}

/// Returns the parts between separators, trimmed.
std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(trimmed(text.substr(begin, end - begin)));
    begin = end + separator.size();
  }
  return parts;
}

/// "--top_k N" -> "--top-k"; the two spellings are one flag.
std::string hyphened(std::string flag) {
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

/// Reads the table in one section of README.md: rows of flags, their defaults and their meanings. Defaults
/// are in the order of the flags, separated by commas or spaces.
Defaults in_readme(const std::string& heading) {
  const std::string readme = read_file(HIPGPT_TEST_DATA_DIR "/../README.md");
  const size_t begin = readme.find("\n## " + heading + "\n");
  EXPECT_NE(begin, std::string::npos) << heading;
  Defaults defaults;
  for (const std::string& line : lines_of(readme.substr(begin, readme.find("\n## ", begin + 1) - begin))) {
    if (!line.starts_with("| `--")) continue;
    const auto cells = split(line, "|");
    std::vector<std::string> flags;
    for (const std::string& word : split(cells.at(1), " ")) {
      if (word.starts_with("--")) flags.push_back(hyphened(word.substr(0, word.find_first_of("`,"))));
    }
    const std::string& shown = cells.at(2);
    auto values =
        shown.find(", ") != std::string::npos || flags.size() == 1 ? split(shown, ", ") : split(shown, " ");
    if (shown.empty()) values.assign(flags.size(), "");
    EXPECT_EQ(values.size(), flags.size()) << line;
    for (size_t i = 0; i < flags.size(); ++i) defaults[flags[i]] = values.at(i);
  }
  return defaults;
}

/// Returns what --help says about each flag, such as "INT=50 Tokens to generate", on one line or two.
std::map<std::string, std::string> in_help(const std::string& help) {
  std::map<std::string, std::string> texts;
  std::string flag;
  for (const std::string& line : lines_of(help)) {
    if (line.starts_with("  --")) {
      flag = line.substr(2, line.find(' ', 2) - 2);
      texts[flag] = trimmed(line.substr(2 + flag.size()));
    } else if (line.starts_with("      ")) {
      texts[flag] += " " + trimmed(line);
    }
  }
  return texts;
}

/// Returns the default in such a text: after the type, "INT=50", or in brackets at its end, "(a tenth of
/// --lr)".
std::optional<std::string> default_in(const std::string& text) {
  const std::string type = text.substr(0, text.find(' '));
  if (const size_t at = type.find('='); at != std::string::npos) return type.substr(at + 1);
  if (text.find(" REQUIRED") != std::string::npos) return "required";
  if (!text.ends_with(')')) return std::nullopt;
  const size_t at = text.rfind('(') + 1;
  return text.substr(at, text.size() - 1 - at);
}

bool is_same(const std::string& readme, const std::optional<std::string>& help) {
  if (!help) return readme.empty();
  char* end = nullptr;
  const double number = std::strtod(help->c_str(), &end);
  const bool is_number = end != help->c_str();
  if (is_number && readme == "all") return number == 0;  // --threads
  if (is_number) return !readme.empty() && std::strtod(readme.c_str(), nullptr) == number;
  // A default that depends on other things is described in words, in more or less detail.
  return readme.empty() || help->starts_with(readme);
}

class ReadmeCliTest : public CliTest {
 protected:
  void expect_same_flags(const std::string& program, const std::string& heading) {
    const Defaults readme = in_readme(heading);
    const auto help = in_help(run(program, {"--help"}).out);
    EXPECT_GT(readme.size(), 10u);
    for (const auto& [flag, value] : readme) {
      ASSERT_TRUE(help.contains(flag)) << flag << " is in README.md and not in --help";
      const auto shown = default_in(help.at(flag));
      EXPECT_TRUE(is_same(value, shown))
          << flag << ": '" << value << "' in README.md, '" << shown.value_or("") << "' in --help";
    }
    for (const auto& [flag, text] : help) {
      static const Arguments kInEveryProgram = {"--help", "--version", "--config", "--completions", "--man"};
      if (std::ranges::find(kInEveryProgram, flag) != kInEveryProgram.end()) continue;
      EXPECT_TRUE(readme.contains(flag)) << flag << " is in --help and not in README.md";
    }
  }
};

TEST_F(ReadmeCliTest, ListsTheFlagsOfTrainGptWithTheirDefaults) {
  expect_same_flags(HIPGPT_TRAIN_GPT, "Training");
}

TEST_F(ReadmeCliTest, ListsTheFlagsOfGenerateWithTheirDefaults) {
  expect_same_flags(HIPGPT_GENERATE, "Generating text");
}

}  // namespace
}  // namespace hipgpt

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <string_view>

#include "cli/flag_texts.h"

namespace hipgpt {

namespace {

/// Text as roff spells it. A line of roff must not begin with a dot or a quote, which begin requests.
std::string roff(std::string_view text) {
  std::string result = text.starts_with('.') || text.starts_with('\'') ? "\\&" : "";
  for (const char c : text) {
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";  // a minus that can be copied, not a hyphen
    } else {
      result += c;
    }
  }
  return result;
}

std::string entry(const FlagText& flag) {
  std::string value;
  if (!flag.choices.empty()) {
    value = roff(fmt::format("{}", fmt::join(flag.choices, "|")));
  } else if (!flag.type.empty()) {
    value = "\\fI" + flag.type + "\\fR";
  }
  if (flag.value_may_be_missing) value = "[" + value + "]";
  const std::string preset = flag.preset.empty() ? "" : " (" + flag.preset + ")";
  return fmt::format(".TP\n\\fB{}\\fR{}{}\n{}\n", roff(flag.name), value.empty() ? "" : " ", value,
                     roff(flag.help + preset));
}

}  // namespace

std::string manual_page(const ProgramText& program) {
  std::string purpose = program.description;
  purpose.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(purpose.front())));
  if (purpose.ends_with('.')) purpose.pop_back();
  std::string title = program.name;
  std::ranges::transform(title, title.begin(), [](unsigned char c) { return std::toupper(c); });

  // No date: the page is the same whenever it is made.
  std::string page =
      fmt::format(R"(.TH {0} 1 "" "hipgpt {1}"
.SH NAME
{2} \- {3}
.SH SYNOPSIS
\fB{2}\fR [\fIOPTIONS\fR]
.SH DESCRIPTION
{4}
In the names of options, _ and \- are equivalent. The default of an option stands in brackets.
)",
                  title, program.version, roff(program.name), roff(purpose), roff(program.description));
  page += ".SH OPTIONS\n";
  std::string group = "Options";
  for (const FlagText& flag : program.flags) {
    if (flag.group != group) page += fmt::format(".SS {}\n", roff(flag.group));
    group = flag.group;
    page += entry(flag);
  }
  page += R"(.SH EXIT STATUS
0: success. 1: an error, described in one line on standard error. 2: a wrong command line.
128 + N: signal N ended the program.
)";
  page += fmt::format(".SH SEE ALSO\n.BR {} (1)", program.name == "generate" ? "train_gpt" : "generate");
  return page;
}

}  // namespace hipgpt

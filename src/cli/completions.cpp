#include <fmt/format.h>

#include <string_view>

#include "cli/flag_texts.h"

namespace hipgpt {

namespace {

/// Only values of type TEXT can be names of files. The shells offer nothing for a number.
bool may_be_a_file(const FlagText& flag) {
  return flag.type == "TEXT" && flag.choices.empty();
}

/// The values that a shell can offer.
std::string choices(const FlagText& flag) {
  std::string words;
  for (const std::string& choice : flag.choices) {
    if (choice != "hip:N") words += (words.empty() ? "" : " ") + choice;
  }
  return words;
}

/// A word of a shell: in single quotes, with `quote` in place of each single quote.
std::string quoted(std::string_view text, std::string_view quote) {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string(quote) : std::string(1, c);
  return word + "'";
}

std::string with_backslashes(std::string_view text, std::string_view special) {
  std::string result;
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

}  // namespace

std::string bash_completions(const ProgramText& program) {
  std::string cases, all, files, numbers;
  for (const FlagText& flag : program.flags) {
    all += (all.empty() ? "" : " ") + flag.name;
    if (!flag.choices.empty()) {
      cases +=
          fmt::format("    {}) COMPREPLY=($(compgen -W '{}' -- \"$word\")) ;;\n", flag.name, choices(flag));
    } else if (!flag.type.empty() && !flag.value_may_be_missing) {
      std::string& list = may_be_a_file(flag) ? files : numbers;
      list += (list.empty() ? "" : " | ") + flag.name;
    }
  }
  return fmt::format(
      R"(# Completes the flags of {0} in bash: source <({0} --completions bash)
_{0}() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} flag=${{COMP_WORDS[COMP_CWORD - 1]}}
  if [[ $word == = ]]; then # bash makes three words of --flag=value
    word=
  elif [[ $flag == = ]]; then
    flag=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  COMPREPLY=() # without a reply, bash offers file names
  case ${{flag//_/-}} in
{1}    {2}) ;;
    {3}) compopt +o default ;;
    *) COMPREPLY=($(compgen -W '{4}' -- "$word")) ;;
  esac
}}
complete -o default -F _{0} {0})",
      program.name, cases, files, numbers, all);
}

std::string zsh_completions(const ProgramText& program) {
  std::string specs;
  for (const FlagText& flag : program.flags) {
    std::string spec = flag.name;
    if (!flag.type.empty()) spec += flag.value_may_be_missing ? "=-" : "=";
    spec += '[' + with_backslashes(flag.help, "\\[]:") + ']';
    if (!flag.type.empty()) {
      spec += fmt::format("{}{}:", flag.value_may_be_missing ? "::" : ":", flag.type);
      if (!flag.choices.empty()) spec += fmt::format("({})", choices(flag));
      if (may_be_a_file(flag)) spec += "_files";
    }
    specs += " \\\n    " + quoted("*" + spec, R"('\'')");  // *: a flag may be given twice
  }
  return fmt::format(
      R"(#compdef {0}
# Completes the flags of {0} in zsh: source <({0} --completions zsh), after compinit
compdef _{0} {0}
_{0}() {{
  _arguments{1}
}}
# zsh runs this file as the function itself when it finds it in $fpath.
if [[ $funcstack[1] == _{0} ]]; then _{0} "$@"; fi)",
      program.name, specs);
}

std::string fish_completions(const ProgramText& program) {
  std::string lines =
      fmt::format("# Completes the flags of {0} in fish: {0} --completions fish | source\ncomplete -c {0} -f",
                  program.name);
  for (const FlagText& flag : program.flags) {
    lines += fmt::format("\ncomplete -c {} -l {}", program.name, flag.name.substr(2));
    if (may_be_a_file(flag)) {
      lines += " -r -F";
    } else if (!flag.type.empty() && !flag.value_may_be_missing) {
      lines += " -x";
    }
    if (!flag.choices.empty()) lines += fmt::format(" -a '{}'", choices(flag));
    lines += " -d " + quoted(with_backslashes(flag.help, "\\"), "\\'");
  }
  return lines;
}

}  // namespace hipgpt

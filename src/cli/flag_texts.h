// Texts that are made from the declared flags: completions for a shell, and the manual page.
#pragma once

#include <string>
#include <vector>

namespace hipgpt {

/// A declared flag, as --help shows it.
struct FlagText {
  std::string name;   ///< with "--"
  std::string group;  ///< the heading in --help
  std::string help;
  std::string type;                  ///< TEXT, INT, UINT, FLOAT or BOOLEAN; "" if the flag has no value
  std::vector<std::string> choices;  ///< the values of a flag that has few; hip:N stands for several
  std::string preset;                ///< the default value, if --help shows it in this form
  bool value_may_be_missing = false;
};

struct ProgramText {
  std::string name, version, description;
  std::vector<FlagText> flags;
};

/// Each returns a script that completes flags, the values of flags with few values, and file names. These
/// texts end without a line break.
std::string bash_completions(const ProgramText& program);
std::string zsh_completions(const ProgramText& program);
std::string fish_completions(const ProgramText& program);

/// Returns a page for man(1).
std::string manual_page(const ProgramText& program);

}  // namespace hipgpt

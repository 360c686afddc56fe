#include "generation/prompts.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "data/file_content.h"
#include "error.h"
#include "generation/standard_streams.h"
#include "text.h"
#include "util/limited_input.h"
#include "util/mapped_file.h"
#include "util/parameter.h"

namespace hipgpt {

namespace {

std::string sources() {
  return fmt::format("give {} TEXT, {} FILE, {} FILE, {}, {} FILE or {} DIR", Parameter::kPrompt,
                     Parameter::kPromptFile, Parameter::kPromptsFile, Parameter::kInteractive,
                     Parameter::kPerplexityFile, Parameter::kExportFolder);
}

std::string read_source(const std::string& file) {
  if (file == "-") return read_standard_input();
  const MappedFile mapped(file, MappedFile::Access::kSequential);
  if (mapped.text().size() > kLongestInput) fail_as_too_long(file);
  warn_unless_text(file, mapped.text());
  return std::string(mapped.text());
}

std::string source_name(const std::string& file) {
  return file == "-" ? "standard input" : file;
}

void drop_newline(std::string& text) {
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
}

std::string whole(const std::string& file) {
  std::string text = read_source(file);
  drop_newline(text);
  if (text.empty())
    throw Error(fmt::format("{} is empty: there is nothing to continue; {}", source_name(file), sources()));
  return text;
}

std::vector<std::string> lines(const std::string& file) {
  const std::string text = read_source(file);
  std::vector<std::string> prompts;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    prompts.push_back(text.substr(begin, end - begin));
    drop_newline(prompts.back());
    begin = end + 1;
  }
  while (!prompts.empty() && prompts.back().empty()) prompts.pop_back();
  const auto gap = std::ranges::find(prompts, "");
  if (gap != prompts.end()) {
    throw Error(fmt::format(
        "{}, line {}: is empty; every line of {} is a prompt ({} reads a whole file as one)",
        source_name(file), gap - prompts.begin() + 1, Parameter::kPromptsFile, Parameter::kPromptFile));
  }
  if (prompts.empty())
    throw Error(fmt::format("{}: is empty; {} needs a prompt on every line", source_name(file),
                            Parameter::kPromptsFile));
  return prompts;
}

}  // namespace

void warn_unless_text(const std::string& file, std::string_view bytes) {
  refuse_known_formats(file, bytes);
  const std::string warning = warning_about(file, guess_content(bytes));
  if (!warning.empty()) print_status(warning + "\n");
}

std::vector<std::string> read_prompts(const GenerationRun& run) {
  if (run.prompt) {
    if (run.prompt->empty())
      throw Error(
          fmt::format("{0} is empty: it has no tokens to continue from; {0} '{1}' begins a new document",
                      Parameter::kPrompt, kEndOfText));
    return {*run.prompt};
  }
  if (!run.prompt_file.empty()) return {whole(run.prompt_file)};
  if (!run.prompts_file.empty()) return lines(run.prompts_file);
  if (standard_input_is_a_terminal()) throw Error(fmt::format("nothing to continue: {}", sources()));
  return {whole("-")};
}

}  // namespace hipgpt

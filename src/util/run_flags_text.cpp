#include "util/run_flags_text.h"

#include <fmt/format.h>

namespace hipgpt {

namespace {

/// Adds "--name=value". What is not such a flag becomes a name without a value.
void add(std::string flag, RunFlags& flags) {
  if (flag.starts_with("--")) flag.erase(0, 2);
  const size_t end = flag.find('=');
  std::vector<std::string>& values = flags[flag.substr(0, end)];
  if (end != flag.npos) values.push_back(flag.substr(end + 1));
}

}  // namespace

JsonValue to_json(const RunFlags& flags) {
  JsonValue::Object members;
  for (const auto& [name, values] : flags) members.push_back({name, JsonValue(values)});
  return members;
}

std::optional<RunFlags> run_flags_from(const JsonValue& json) {
  RunFlags flags;
  if (json.is_array()) {
    for (const JsonValue& flag : json.items()) {
      if (!flag.is_string()) return std::nullopt;
      add(flag.as_string(), flags);
    }
    return flags;
  }
  if (!json.is_object()) return std::nullopt;
  for (const auto& [name, values] : json.members()) {
    if (!values.is_array()) return std::nullopt;
    for (const JsonValue& value : values.items()) {
      if (!value.is_string()) return std::nullopt;
      flags[name].push_back(value.as_string());
    }
  }
  return flags;
}

std::string to_text(const RunFlags& flags) {
  std::string text;
  for (const auto& [name, values] : flags) {
    if (values.empty()) text += fmt::format(" --{}", name);
    for (const std::string& value : values) text += fmt::format(" --{}={}", name, value);
  }
  return text.substr(text.empty() ? 0 : 1);
}

}  // namespace hipgpt

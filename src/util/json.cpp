#include "util/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "error.h"

namespace hipgpt {
namespace {

using Json = nlohmann::json;

/// How deep brackets are nested, as far as the text is JSON. The parser stops at the first fault, so what it
/// has built by then is not deeper.
int depth_of(std::string_view text) {
  int depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

/// What keeps a text from being parsed at all, or nothing.
std::string fault_of(std::string_view text) {
  if (text.size() > kLargestJson) {
    return fmt::format("has {} bytes of JSON, and {} are allowed", text.size(), kLargestJson);
  }
  // The library takes a zero byte for the end of the text.
  if (const size_t zero = text.find('\0'); zero != text.npos) {
    return fmt::format("is not JSON (a zero byte at byte {})", zero + 1);
  }
  if (depth_of(text) > kDeepestJson) return fmt::format("is JSON nested deeper than {} levels", kDeepestJson);
  return "";
}

/// Follows the parser and refuses a key that its object has already.
class UniqueKeys {
 public:
  bool operator()(int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open_.emplace_back();
    if (event == Json::parse_event_t::object_end) open_.pop_back();
    if (event == Json::parse_event_t::key && !open_.back().insert(parsed.get<std::string>()).second) {
      throw Error(
          fmt::format("has the key {} twice", parsed.dump(-1, ' ', false, Json::error_handler_t::replace)));
    }
    return true;
  }

 private:
  std::vector<std::set<std::string>> open_;  // the keys of each object around the current place
};

Json parse(std::string_view text, const Json::parser_callback_t& callback) {
  if (const std::string fault = fault_of(text); !fault.empty()) throw Error(fault);
  try {
    return Json::parse(text, callback);
  } catch (const Json::parse_error& error) {
    throw Error(fmt::format("is not JSON (wrong or cut off at byte {})", error.byte));
  } catch (const Json::exception&) {
    throw Error("is not JSON that can be read (a number is out of range)");
  }
}

}  // namespace

Json parse_json(std::string_view text) {
  return parse(text, nullptr);
}

Json parse_json_with_unique_keys(std::string_view text) {
  return parse(text, UniqueKeys());
}

std::optional<Json> try_parse_json(std::string_view text) {
  if (!fault_of(text).empty()) return std::nullopt;
  Json value = Json::parse(text, nullptr, false);
  return value.is_discarded() ? std::nullopt : std::optional(std::move(value));
}

}  // namespace hipgpt

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

/// Hears what is in a text, in its order, and stops at a key that its object has already. (The library's
/// parser with a callback looks at all members of an object whenever one of them ends, which takes quadratic
/// time.)
class RepeatedKey final : public nlohmann::json_sax<Json> {
 public:
  std::optional<std::string> found;

  bool start_object(std::size_t) override {
    open_.emplace_back();
    return true;
  }
  bool key(string_t& name) override {
    const bool is_new = open_.back().insert(name).second;
    if (!is_new) found = name;
    return is_new;
  }
  bool end_object() override {
    open_.pop_back();
    return true;
  }
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  std::vector<std::set<std::string>> open_;  // the keys of each object around the current place
};

}  // namespace

Json parse_json(std::string_view text) {
  if (const std::string fault = fault_of(text); !fault.empty()) throw Error(fault);
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    throw Error(fmt::format("is not JSON (wrong or cut off at byte {})", error.byte));
  } catch (const Json::exception&) {
    throw Error("is not JSON that can be read (a number is out of range)");
  }
}

Json parse_json_with_unique_keys(std::string_view text) {
  Json value = parse_json(text);
  RepeatedKey repeated;
  Json::sax_parse(text, &repeated);
  if (repeated.found) throw Error(fmt::format("has the key {} twice", Json(*repeated.found).dump()));
  return value;
}

std::optional<Json> try_parse_json(std::string_view text) {
  if (!fault_of(text).empty()) return std::nullopt;
  Json value = Json::parse(text, nullptr, false);
  return value.is_discarded() ? std::nullopt : std::optional(std::move(value));
}

}  // namespace hipgpt

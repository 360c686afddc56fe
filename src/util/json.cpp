#include "util/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "error.h"
#include "util/lfs_pointer.h"
#include "util/mapped_file.h"
#include "util/name_errors.h"

namespace hipgpt {
namespace {

using Library = nlohmann::json;

/// The nesting depth of brackets, exact for valid JSON. The parser stops at the first error, so it never
/// builds a deeper value.
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

/// Why a text cannot be parsed at all, or "".
std::string fault_of(std::string_view text) {
  if (is_lfs_pointer(text)) return kLfsPointerFault;
  if (text.size() > kLargestJson) {
    return fmt::format("has {} bytes of JSON, but at most {} are allowed", text.size(), kLargestJson);
  }
  // The library treats a zero byte as the end of the text.
  if (const size_t zero = text.find('\0'); zero != text.npos) {
    return fmt::format("is not JSON (a zero byte at byte {})", zero + 1);
  }
  if (depth_of(text) > kDeepestJson) return fmt::format("is JSON nested deeper than {} levels", kDeepestJson);
  return "";
}

/// Builds a value from the parser's events, in text order.
class Builder final : public nlohmann::json_sax<Library> {
 public:
  JsonValue value;
  std::string fault;         // why the text is not JSON
  std::string repeated_key;  // the first key that occurs twice in an object, quoted

  bool null() override { return add({}); }
  bool boolean(bool truth) override { return add(truth); }
  bool number_integer(number_integer_t number) override { return add(number); }
  bool number_unsigned(number_unsigned_t number) override { return add(number); }
  bool number_float(number_float_t number, const string_t&) override { return add(number); }
  bool string(string_t& text) override { return add(std::move(text)); }
  bool binary(binary_t&) override { return false; }  // JSON has no binary values
  bool start_object(std::size_t) override {
    open_.emplace_back();
    return true;
  }
  bool key(string_t& name) override {
    open_.back().members.push_back({std::move(name), {}});
    return true;
  }
  bool end_object() override {
    JsonValue::Object members = std::move(open_.back().members);
    open_.pop_back();
    leave_last_of_each(members);
    return add(std::move(members));
  }
  bool start_array(std::size_t) override {
    open_.emplace_back().is_array = true;
    return true;
  }
  bool end_array() override {
    JsonValue::Array items = std::move(open_.back().items);
    open_.pop_back();
    return add(std::move(items));
  }
  bool parse_error(std::size_t byte, const std::string&, const Library::exception& error) override {
    fault = dynamic_cast<const Library::parse_error*>(&error)
                ? fmt::format("is not JSON (wrong or cut off at byte {})", byte)
                : "is not valid JSON (a number is out of range)";
    return false;
  }

 private:
  /// An array or object whose end has not been parsed yet.
  struct Open {
    bool is_array = false;
    JsonValue::Array items;
    JsonValue::Object members;
  };

  bool add(JsonValue part) {
    if (open_.empty()) {
      value = std::move(part);
    } else if (open_.back().is_array) {
      open_.back().items.push_back(std::move(part));
    } else {
      open_.back().members.back().value = std::move(part);
    }
    return true;
  }

  /// Keeps the last member of each name. Sorts them, because searching all earlier names for each one would
  /// take quadratic time.
  void leave_last_of_each(JsonValue::Object& members) {
    std::ranges::stable_sort(members, {}, &JsonValue::Member::name);
    size_t kept = 0;
    for (size_t i = 0; i < members.size(); ++i) {
      if (i + 1 < members.size() && members[i].name == members[i + 1].name) {
        if (repeated_key.empty()) repeated_key = json_quoted(members[i].name);
        continue;
      }
      if (kept != i) members[kept] = std::move(members[i]);
      ++kept;
    }
    members.resize(kept);
  }

  std::vector<Open> open_;  // the arrays and objects around the current position
};

/// Returns false if it fails; `builder` then holds the reason.
bool parse(std::string_view text, Builder& builder) {
  builder.fault = fault_of(text);
  return builder.fault.empty() && Library::sax_parse(text, &builder);
}

JsonValue value_of(Builder& builder) {
  if (!builder.fault.empty()) throw Error(builder.fault);
  return std::move(builder.value);
}

template <typename T, typename Data>
const T& held(const Data& data, const char* type) {
  if (const T* value = std::get_if<T>(&data)) return *value;
  throw Error(fmt::format("a JSON value is not {}", type));
}

}  // namespace

JsonValue::JsonValue() noexcept = default;
JsonValue::JsonValue(double value) : data_(value) {}
JsonValue::JsonValue(const char* text) : data_(std::string(text)) {}
JsonValue::JsonValue(std::string_view text) : data_(std::string(text)) {}
JsonValue::JsonValue(std::string text) : data_(std::move(text)) {}
JsonValue::JsonValue(Array items) : data_(std::move(items)) {}
JsonValue::JsonValue(Object members) : data_(std::move(members)) {}
JsonValue::JsonValue(std::initializer_list<Member> members) : data_(Object(members)) {}
JsonValue::JsonValue(const JsonValue&) = default;
JsonValue::JsonValue(JsonValue&&) noexcept = default;
JsonValue& JsonValue::operator=(const JsonValue&) = default;
JsonValue& JsonValue::operator=(JsonValue&&) noexcept = default;
JsonValue::~JsonValue() = default;

void JsonValue::hold(int64_t negative) {
  data_ = negative;
}

void JsonValue::hold(uint64_t count) {
  data_ = count;
}

bool JsonValue::as_bool() const {
  return held<bool>(data_, "true or false");
}

int64_t JsonValue::as_whole() const {
  if (const auto* count = std::get_if<uint64_t>(&data_)) {
    if (std::in_range<int64_t>(*count)) return static_cast<int64_t>(*count);
    throw Error(fmt::format("{} does not fit a signed 64-bit integer", *count));
  }
  return held<int64_t>(data_, "a whole number");
}

uint64_t JsonValue::as_count() const {
  return held<uint64_t>(data_, "a non-negative whole number");
}

double JsonValue::as_number() const {
  if (const auto* count = std::get_if<uint64_t>(&data_)) return static_cast<double>(*count);
  if (const auto* whole = std::get_if<int64_t>(&data_)) return static_cast<double>(*whole);
  return held<double>(data_, "a number");
}

const std::string& JsonValue::as_string() const {
  return held<std::string>(data_, "a string");
}

const JsonValue::Array& JsonValue::items() const {
  return held<Array>(data_, "an array");
}

const JsonValue::Object& JsonValue::members() const {
  return held<Object>(data_, "an object");
}

const JsonValue* JsonValue::find(std::string_view name) const {
  if (!is_object()) return nullptr;
  const auto found = std::ranges::find(members(), name, &Member::name);
  return found == members().end() ? nullptr : &found->value;
}

const JsonValue& JsonValue::operator[](std::string_view name) const {
  static const JsonValue kNull;
  const JsonValue* found = find(name);
  return found == nullptr ? kNull : *found;
}

void JsonValue::set(std::string_view name, JsonValue value) {
  members();  // throws Error unless this is an object
  auto& all = std::get<Object>(data_);
  const auto found = std::ranges::find(all, name, &Member::name);
  if (found == all.end()) {
    all.push_back({std::string(name), std::move(value)});
  } else {
    found->value = std::move(value);
  }
}

bool JsonValue::operator==(const JsonValue& other) const {
  if (is_number() && other.is_number() && !(is_whole() && other.is_whole())) {
    return as_number() == other.as_number();
  }
  return data_ == other.data_;
}

std::string JsonValue::dump(int indent) const {
  std::string text;
  append_to(text, indent, 0);
  return text;
}

void JsonValue::append_to(std::string& text, int indent, int level) const {
  const auto new_line = [&](int at_level) {
    if (indent >= 0) text.append("\n").append(static_cast<size_t>(indent * at_level), ' ');
  };
  const auto list = [&](char open, const auto& parts, char close, const auto& append) {
    text += open;
    for (bool first = true; const auto& part : parts) {
      if (!std::exchange(first, false)) text += ',';
      new_line(level + 1);
      append(part);
    }
    if (!parts.empty()) new_line(level);
    text += close;
  };
  if (is_object()) {
    list('{', members(), '}', [&](const Member& member) {
      text += json_quoted(member.name) + (indent >= 0 ? ": " : ":");
      member.value.append_to(text, indent, level + 1);
    });
  } else if (is_array()) {
    list('[', items(), ']', [&](const JsonValue& item) { item.append_to(text, indent, level + 1); });
  } else if (is_string()) {
    text += json_quoted(as_string());
  } else if (is_count()) {
    text += std::to_string(as_count());
  } else if (is_whole()) {
    text += std::to_string(as_whole());
  } else if (is_number()) {
    text += Library(as_number()).dump();  // the shortest text that reads back as the same number
  } else {
    text += is_null() ? "null" : as_bool() ? "true" : "false";
  }
}

std::string json_quoted(std::string_view text) {
  return Library(text).dump(-1, ' ', false, Library::error_handler_t::replace);
}

JsonValue parse_json(std::string_view text) {
  Builder builder;
  parse(text, builder);
  return value_of(builder);
}

JsonValue parse_json_with_unique_keys(std::string_view text) {
  Builder builder;
  parse(text, builder);
  JsonValue value = value_of(builder);
  if (builder.repeated_key.empty()) return value;
  throw Error(fmt::format("has the key {} twice", builder.repeated_key));
}

std::optional<JsonValue> try_parse_json(std::string_view text) {
  Builder builder;
  return parse(text, builder) ? std::optional(std::move(builder.value)) : std::nullopt;
}

JsonValue read_json_object(const std::string& path) {
  const MappedFile file(path, MappedFile::Access::kSequential);
  JsonValue json = name_errors(path, [&] { return parse_json(file.text()); });
  if (!json.is_object()) throw Error(path + ": is not a JSON object; use an intact copy");
  return json;
}

}  // namespace hipgpt

// Random structural changes to JSON: values of other types and sizes; members deleted, duplicated, swapped
// and repeated.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace hipgpt::fuzz {

/// The random numbers of a case. They depend only on the seed and the case number, on every machine.
class Random {
 public:
  Random(uint64_t seed, uint64_t i) {
    const uint64_t key[] = {seed, i};
    bits_.seed(XXH3_64bits(key, sizeof key));
  }

  /// Returns 0 to n-1; n must not be 0.
  uint64_t below(uint64_t n) { return bits_() % n; }
  bool chance(uint64_t percent) { return below(100) < percent; }
  template <typename List>
  const auto& pick(const List& list) {
    return *(std::begin(list) + static_cast<std::ptrdiff_t>(below(std::size(list))));
  }

 private:
  std::mt19937_64 bits_;
};

/// Returns the words of a text, which may span several lines.
inline std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

/// Numbers at the limits of their types; some are valid JSON but fit no C++ type.
inline const std::vector<std::string> kExtremeNumbers = words(R"(
-1 0 -0.0 1 2 255 256 65535 65536 16777216 16777217 2147483647 2147483648 -2147483649 4294967295
4294967296 9007199254740993 9223372036854775807 9223372036854775808 -9223372036854775808
18446744073709551615 18446744073709551616 1e-320 0.5 -1e30 3.5e38 1e308 -1e308 1e400 1000000000)");

inline const std::vector<std::string> kOtherValues = {"null",  "true",    "false",  "\"\"",     "[]",
                                                      "{}",    "[[]]",    "[null]", "{\"\":0}", "\"F32\"",
                                                      "\"0\"", "\"nan\"", "NaN",    ""};

inline const std::vector<std::string> kStrangeStrings = {
    R"("\u0000")",       R"("a\u0000b")",        R"("\ud800")",
    R"("\n\r\t")",       R"("\u001b[2J")",       R"("../../beside/escaped")",
    R"("{} {:s} %s%n")", R"("\u2028\ufeff")",    R"("Ġthe")",
    R"("/dev/zero")",    "\"\xff\xfe\"",         "\"\xc0\x80\"",
    "\"\xed\xa0\x80\"",  "\"\xf4\x90\x80\x80\"", "\"\x01\""};

/// Changes JSON documents. A mark in the document stands for anything that the JSON library cannot represent,
/// such as a duplicate key; text() replaces the marks at the end.
class JsonMutator {
 public:
  using Json = nlohmann::ordered_json;

  explicit JsonMutator(Random& random) : random_(random) {}

  /// Changes one place of the document.
  void mutate(Json& document) {
    Json* node = &document;
    while (node->is_structured() && !node->empty() && random_.chance(90)) {
      Json& parent = *node;
      node = &child(parent);
      if (random_.chance(10)) return change_members(parent, *node);
    }
    change_value(*node, document);
  }

  static std::string plain_text(const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  /// Returns the text of a document that mutate() has changed.
  std::string text(const Json& document) const {
    std::string text = plain_text(document);
    for (size_t i = texts_.size(); i-- > 0;) {  // a later text may hold marks of earlier ones
      const std::string mark = Json(mark_of(i)).dump();
      for (size_t at = 0; (at = text.find(mark, at)) != text.npos && text.size() < kMostBytes;
           at += texts_[i].size())
        text.replace(at, mark.size(), texts_[i]);
    }
    return text;
  }

 private:
  static constexpr size_t kMostBytes = 900'000;  // with the rest of a file, below 1 MB

  Random& random_;
  std::vector<std::string> texts_;

  static std::string mark_of(size_t i) { return "<text " + std::to_string(i) + ">"; }
  std::string mark(std::string text) {
    texts_.push_back(std::move(text));
    return mark_of(texts_.size() - 1);
  }

  /// Picks a child. The first and the last of many are as likely as all others together.
  Json& child(Json& parent) {
    const uint64_t places[] = {0, parent.size() - 1, random_.below(parent.size()),
                               random_.below(parent.size())};
    return *std::next(parent.begin(), static_cast<std::ptrdiff_t>(random_.pick(places)));
  }

  void change_members(Json& parent, Json& node) {
    const auto at = std::find_if(parent.begin(), parent.end(), [&](const Json& j) { return &j == &node; });
    switch (random_.below(4)) {
      case 0: parent.erase(at); return;
      case 1: std::swap(node, child(parent)); return;
      case 2: repeat(parent, node, uint64_t{1} << random_.below(18)); return;
      default:
        if (!parent.is_object()) return parent.push_back(Json(node));
        const std::string key = plain_text(at.key());
        parent[mark(key)] = mark(random_.chance(50) ? plain_text(node) : random_.pick(kExtremeNumbers));
    }
  }

  /// Adds many members like `node`, each with its own number.
  void repeat(Json& parent, const Json& node, uint64_t count) {
    count = std::min<uint64_t>(count, kMostBytes / (plain_text(node).size() + 16));
    // The members are built as text, because an ordered object would search all its members for each new one.
    std::string members;
    for (uint64_t i = 0; i < count; ++i) {
      if (parent.is_object()) members += "\"m" + std::to_string(i) + "\":";
      members += plain_text(numbered(node, i + 1)) + ",";
    }
    if (parent.is_array()) parent.push_back(mark(members + plain_text(numbered(node, count + 1))));
    if (parent.is_object()) parent[mark(members + "\"last\"")] = numbered(node, count + 1);
  }

  static Json numbered(Json value, uint64_t i) {
    if (value.is_number_integer()) return value.get<int64_t>() + static_cast<int64_t>(i);
    if (value.is_string()) return value.get<std::string>() + std::to_string(i);
    if (value.is_object()) {
      for (Json& member : value) {
        if (!member.is_structured()) member = numbered(member, i);
      }
    }
    return value;
  }

  void change_value(Json& node, const Json& document) {
    const std::string text = node.is_string() ? node.get<std::string>() : "";
    const bool is_number = !text.empty() && text.find_first_not_of("0123456789") == text.npos;
    if (is_number && random_.chance(60)) {  // safetensors metadata values are strings
      node = random_.pick(kExtremeNumbers);
      return;
    }
    switch (random_.below(7)) {
      case 0: node = mark(random_.pick(kExtremeNumbers)); return;
      case 1: node = mark(random_.pick(kOtherValues)); return;
      case 2: node = mark(random_.pick(kStrangeStrings)); return;
      case 3: node = mark(deep()); return;
      case 4: node = std::string(uint64_t{1} << random_.below(20), random_.pick(std::string("a0/"))); return;
      case 5: node = Json(any_value(document)); return;
      default:
        if (node.is_number_integer())
          node = node.get<int64_t>() + (random_.chance(50) ? 1 : -1);
        else if (node.is_boolean())
          node = !node.get<bool>();
        else if (!text.empty())
          node = text.substr(0, random_.below(text.size())) + random_.pick(std::string("ax0 /[\\"));
        else
          node = Json::array({node, node});
    }
  }

  Json any_value(const Json& document) {
    const Json* node = &document;
    while (node->is_structured() && !node->empty() && (node == &document || random_.chance(90)))
      node = &*std::next(node->begin(), static_cast<std::ptrdiff_t>(random_.below(node->size())));
    return *node;
  }

  std::string deep() {
    const uint64_t depth = random_.pick(std::array{4, 31, 33, 1000, 20'000, 200'000});
    const bool list = random_.chance(50);
    std::string text;
    for (uint64_t i = 0; i < depth; ++i) text += list ? "[" : "{\"a\":";
    return text + "0" + (random_.chance(90) ? std::string(depth, list ? ']' : '}') : "");
  }
};

}  // namespace hipgpt::fuzz

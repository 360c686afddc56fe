// Tests of JSON: reading under limits, and writing the exact text that nlohmann's library would write.
#include "util/json.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "files/test_files.h"

namespace hipgpt {
namespace {

std::string nested(int depth) {
  return std::string(static_cast<size_t>(depth), '[') + std::string(static_cast<size_t>(depth), ']');
}

std::string fault(const std::string& text) {
  return error_of([&] { parse_json(text); });
}

TEST(ParseJson, GivesTheValue) {
  EXPECT_EQ(parse_json(R"({"a": [1, "\"[{"], "b": null})")["a"].items()[1], "\"[{");
  EXPECT_EQ(try_parse_json("7"), JsonValue(7));
  EXPECT_EQ(try_parse_json("[1"), std::nullopt);
  EXPECT_EQ(parse_json(R"({"b": 1, "a": {"b": 2, "b": [3]}, "b": 4})").dump(), R"({"a":{"b":[3]},"b":4})");
  EXPECT_EQ(parse_json_with_unique_keys(R"({"a": {"a": 1}, "b": {"a": 2}})")["b"]["a"], 2);
}

TEST(ParseJson, LimitsTheDepth) {
  EXPECT_EQ(fault(nested(kDeepestJson)), "");
  EXPECT_EQ(
      fault(R"({"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[": "\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["})"),
      "");
  for (const std::string& text : {nested(kDeepestJson + 1), std::string(100'000, '['),
                                  "[1,\"\\\\\"," + nested(100'000), "{\"a\":" + std::string(1000, '{')}) {
    EXPECT_TRUE(says(fault(text), "nested deeper than 32 levels"));
    EXPECT_FALSE(try_parse_json(text));
  }
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_TRUE(says(fault(objects), "nested deeper"));
}

TEST(ParseJson, LimitsTheSize) {
  std::string text(kLargestJson, ' ');
  text.back() = '1';
  EXPECT_EQ(fault(text), "");
  EXPECT_TRUE(says(fault(' ' + text), "100000001 bytes"));
  EXPECT_FALSE(try_parse_json(' ' + text));
}

TEST(ParseJson, ManyObjectsWithUniqueKeysAreRead) {
  std::string text = "{\"a\":{}";
  for (int i = 0; i < 100'000; ++i) text += ",\"" + std::to_string(i) + "\":{\"a\":{}}";
  EXPECT_EQ(parse_json_with_unique_keys(text + "}").members().size(), 100'001u);
  EXPECT_TRUE(
      says(error_of([&] { parse_json_with_unique_keys(text + ",\"77\":{}}"); }), "the key \"77\" twice"));
}

TEST(ParseJson, SaysWhatIsWrong) {
  EXPECT_TRUE(says(fault("{\"a\": x}"), "wrong or cut off at byte 7"));
  EXPECT_TRUE(says(fault("[1"), "wrong or cut off"));
  EXPECT_TRUE(says(fault(""), "wrong or cut off"));
  EXPECT_TRUE(says(fault("\"\xff\""), "wrong or cut off"));
  EXPECT_TRUE(says(fault("1e999"), "out of range"));
  EXPECT_TRUE(says(fault(std::string("{}\0{}", 5)), "a zero byte at byte 3"));
  EXPECT_TRUE(says(error_of([] { parse_json_with_unique_keys(R"({"b": {"a": 1, "c": 2, "a": 3}})"); }),
                   "has the key \"a\" twice"));
}

const JsonValue kEveryType = {{"zero", 0},
                              {"negative", std::numeric_limits<int64_t>::min()},
                              {"large", std::numeric_limits<uint64_t>::max()},
                              {"half", 0.5},
                              {"float", 0.003f},
                              {"small", 1e-05},
                              {"round", 1e20},
                              {"true", true},
                              {"null", {}},
                              {"text", "\"\\\n\x01/\xc3\xa9"},
                              {"array", JsonValue::Array{1, JsonValue::Array(), "a"}},
                              {"object", {{"z", JsonValue::Object()}, {"a", -1}}}};

TEST(JsonValue, WritesWhatNlohmannsLibraryWrites) {
  for (const int indent : {-1, 2}) {
    const std::string text = kEveryType.dump(indent);
    EXPECT_EQ(text, nlohmann::ordered_json::parse(text).dump(indent));
    EXPECT_EQ(nlohmann::json::parse(text).dump(indent), parse_json(text).dump(indent));
  }
  EXPECT_EQ(JsonValue({{"a", 0.1}, {"b", JsonValue::Array{true, {}}}}).dump(),
            R"({"a":0.1,"b":[true,null]})");
  EXPECT_EQ(JsonValue(std::numeric_limits<double>::quiet_NaN()).dump(), "null");
  EXPECT_EQ(json_quoted("a\xff"), "\"a\xef\xbf\xbd\"");
}

TEST(JsonValue, ReadsBackWhatItWrote) {
  const JsonValue read = parse_json(kEveryType.dump());
  for (const auto& [name, value] : kEveryType.members()) {
    if (name != "object") {  // the members of an object are sorted when read
      EXPECT_EQ(read[name], value) << name;
    }
  }
  EXPECT_EQ(read["negative"].as_whole(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(read["large"].as_count(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(parse_json("18446744073709551616"), 18446744073709551616.0);
}

TEST(JsonValue, ComparesNumbersByValue) {
  EXPECT_EQ(JsonValue(1), JsonValue(1.0));
  EXPECT_EQ(JsonValue(-1), JsonValue(int64_t{-1}));
  EXPECT_NE(JsonValue(-1), JsonValue(std::numeric_limits<uint64_t>::max()));
  EXPECT_NE(JsonValue(9007199254740993), JsonValue(9007199254740992));
  EXPECT_NE(JsonValue(1), JsonValue(true));
  EXPECT_NE(JsonValue(0), JsonValue());
}

TEST(JsonValue, AValueOfAnotherTypeIsAnError) {
  const JsonValue text = "a";
  EXPECT_TRUE(says(error_of([&] { text.as_count(); }), "is not a non-negative whole number"));
  EXPECT_TRUE(says(error_of([&] { JsonValue(-1).as_count(); }), "is not a non-negative whole number"));
  EXPECT_TRUE(says(error_of([&] { JsonValue(1.0).as_whole(); }), "is not a whole number"));
  EXPECT_TRUE(
      says(error_of([&] { JsonValue(uint64_t{1} << 63).as_whole(); }), "9223372036854775808 does not fit"));
  EXPECT_TRUE(says(error_of([&] { text.as_number(); }), "is not a number"));
  EXPECT_TRUE(says(error_of([&] { text.as_bool(); }), "is not true or false"));
  EXPECT_TRUE(says(error_of([&] { text.items(); }), "is not an array"));
  EXPECT_TRUE(says(error_of([&] { JsonValue().as_string(); }), "is not a string"));
  EXPECT_TRUE(says(error_of([&] { JsonValue(text).set("a", 1); }), "is not an object"));
  EXPECT_EQ(text.find("a"), nullptr);
  EXPECT_TRUE(text["a"].is_null());
}

TEST(JsonValue, MembersAreReplacedInPlace) {
  JsonValue object = {{"b", 1}, {"a", 2}};
  object.set("b", "x");
  object.set("c", JsonValue::Array());
  EXPECT_EQ(object.dump(), R"({"b":"x","a":2,"c":[]})");
}

}  // namespace
}  // namespace hipgpt

// The limits of every JSON text that is read.
#include "util/json.h"

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
  EXPECT_EQ(parse_json(R"({"a": [1, "\"[{"], "b": null})")["a"][1], "\"[{");
  EXPECT_EQ(try_parse_json("7"), nlohmann::json(7));
  EXPECT_EQ(parse_json_with_unique_keys(R"({"a": {"a": 1}, "b": {"a": 2}})")["b"]["a"], 2);
}

TEST(ParseJson, HasALimitOfDepth) {
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

TEST(ParseJson, HasALimitOfSize) {
  std::string text(kLargestJson, ' ');
  text.back() = '1';
  EXPECT_EQ(fault(text), "");
  EXPECT_TRUE(says(fault(' ' + text), "100000001 bytes"));
  EXPECT_FALSE(try_parse_json(' ' + text));
}

TEST(ParseJson, ManyObjectsWithUniqueKeysAreRead) {
  std::string text = "{\"a\":{}";
  for (int i = 0; i < 100'000; ++i) text += ",\"" + std::to_string(i) + "\":{\"a\":{}}";
  EXPECT_EQ(parse_json_with_unique_keys(text + "}").size(), 100'001u);
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

}  // namespace
}  // namespace hipgpt

// Tests of texts that are read whole: below, at and beyond their limit.
#include "util/limited_input.h"

#include <gtest/gtest.h>

#include <sstream>
#include <vector>

#include "error.h"

namespace hipgpt {
namespace {

TEST(LimitedInputTest, ReadsAWholeTextUpToTheLimit) {
  for (const size_t size : {0, 1, 7, 65535, 65536, 65537, 200000}) {
    const std::string text(size, '\0');
    for (const size_t limit : {size, size + 1, kLongestInput}) {
      std::istringstream input(text);
      EXPECT_EQ(read_all(input, "a text", limit), text);
    }
    if (size == 0) continue;
    std::istringstream input(text);
    EXPECT_THROW(read_all(input, "a text", size - 1), Error);
  }
}

TEST(LimitedInputTest, ReadsLinesUpToTheLimit) {
  std::istringstream input("four\n\nfive!\nlast");
  std::string line;
  std::vector<std::string> lines;
  while (read_line(input, line, "a text", 5)) lines.push_back(line);
  EXPECT_EQ(lines, (std::vector<std::string>{"four", "", "five!", "last"}));

  std::istringstream again("four\n\nfive!\nlast");
  EXPECT_TRUE(read_line(again, line, "a text", 4));
  EXPECT_TRUE(read_line(again, line, "a text", 4));
  EXPECT_THROW(read_line(again, line, "a text", 4), Error);
}

TEST(LimitedInputTest, AMessageNamesTheTextAndTheLimit) {
  std::istringstream input("12345");
  try {
    read_all(input, "prompts.txt", 4);
    FAIL() << "a text beyond the limit was accepted";
  } catch (const Error& error) {
    EXPECT_TRUE(std::string(error.what()).starts_with("prompts.txt: longer than 4 bytes")) << error.what();
  }
}

}  // namespace
}  // namespace hipgpt

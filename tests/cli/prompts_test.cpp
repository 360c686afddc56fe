// Tests of where generate takes its prompts from.
#include "cli/trained.h"

namespace hipgpt {
namespace {

class PromptsCliTest : public TrainedCliTest {
 protected:
  static Arguments with(Arguments arguments) {
    arguments.insert(arguments.end(), {"--seed", "1", "--num-tokens", "5", "--top-k", "2"});
    return arguments;
  }
  std::string continued(const Arguments& arguments) const {
    const Result result = generate(with(arguments));
    EXPECT_TRUE(succeeds(result));
    return result.out;
  }
};

TEST_F(PromptsCliTest, AFileIsOnePrompt) {
  const std::string two_lines = continued({"--prompt", "the king\nshall"});
  EXPECT_TRUE(two_lines.starts_with("the king\nshall"));
  for (const char* text : {"the king\nshall", "the king\nshall\n", "the king\nshall\r\n"}) {
    write("prompt.txt", text);
    EXPECT_EQ(continued({"--prompt-file", "prompt.txt"}), two_lines);
  }
  write("prompt.txt", "the king\n\n");  // only the last line feed is not part of the prompt
  EXPECT_EQ(continued({"--prompt-file", "prompt.txt"}), continued({"--prompt", "the king\n"}));
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(255 - i);
  write("binary", bytes);
  EXPECT_TRUE(is_utf8(continued({"--prompt-file", "binary"})));
}

TEST_F(PromptsCliTest, ACharacterCutByTheEndOfThePromptIsNotPrintedInHalf) {
  write("cut.txt", "the king \xE2\x82");
  EXPECT_TRUE(is_utf8(continued({"--prompt-file", "cut.txt"})));
}

TEST_F(PromptsCliTest, EveryLineOfAFileIsAPrompt) {
  const std::string king = continued({"--prompt", "the king"}), hills = continued({"--prompt", "hills"});
  for (const char* text : {"the king\nhills", "the king\nhills\n", "the king\r\nhills\r\n",
                           "the king\nhills\n\n", "the king\nhills\r\n\r\n\n"}) {
    write("prompts.txt", text);
    EXPECT_EQ(continued({"--prompts", "prompts.txt"}), king + "---\n" + hills);
  }
  const auto all = objects(continued({"--prompts", "prompts.txt", "--json", "--num-samples", "2"}));
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all.at(1).at("prompt"), "the king");
  EXPECT_EQ(all.at(1).at("sample"), 1);
  EXPECT_EQ(all.at(2).at("prompt"), "hills");
  EXPECT_EQ(all.at(2).at("sample"), 0);
  EXPECT_EQ(all.at(3), objects(continued({"--prompt", "hills", "--json", "--num-samples", "2"})).at(1));
}

TEST_F(PromptsCliTest, StandardInputIsAPromptWhereNoneIsGiven) {
  const std::string king = continued({"--prompt", "the king"});
  EXPECT_EQ(generate_reading("the king\n", with({})).out, king);
  EXPECT_EQ(generate_reading("the king\n", with({"--prompt-file", "-"})).out, king);
  EXPECT_EQ(generate_reading("the king\nhills\n", with({"--prompts", "-"})).out,
            king + "---\n" + continued({"--prompt", "hills"}));
  EXPECT_EQ(generate_reading("ignored", with({"--prompt", "the king"})).out, king);
  EXPECT_TRUE(continued({"--prompt", "-"}).starts_with("-"));
}

TEST_F(PromptsCliTest, FilesThatAreNotTextAreRefusedOrReported) {
  write("text.gz", "\x1F\x8B\x08 and more");
  write("wide.txt", std::string("\xFF\xFE") + std::string("h\0i\0", 4));
  for (const char* flag : {"--prompt-file", "--prompts", "--perplexity"}) {
    EXPECT_REFUSED(generate({flag, "text.gz"}), "text.gz: is a gzip file, not a text");
    const Result result = generate({flag, "wide.txt"});
    EXPECT_TRUE(succeeds(result));
    EXPECT_NE(result.err.find("wide.txt: looks like UTF-16"), std::string::npos);
  }
}

TEST_F(PromptsCliTest, WithoutTextThereIsNothingToContinue) {
  write("empty.txt", "");
  write("newline.txt", "\n");
  write("gap.txt", "the king\n\nhills\n");
  fs::create_directory(path("folder"));
  for (const char* flag : {"--prompt-file", "--prompts"}) {
    EXPECT_REFUSED(generate({flag, "empty.txt"}), "empty.txt");
    EXPECT_REFUSED(generate({flag, "newline.txt"}), "newline.txt");
    EXPECT_REFUSED(generate({flag, "missing.txt"}), "missing.txt");
    EXPECT_REFUSED(generate({flag, "folder"}), "folder: is a folder");
    EXPECT_REFUSED(generate({flag, ""}), flag);
    EXPECT_REFUSED(generate({flag, "-"}), "standard input");
  }
  EXPECT_REFUSED(generate({"--prompts", "gap.txt"}), "gap.txt, line 2");
  EXPECT_REFUSED(generate({"--prompt", ""}), "--prompt '<|endoftext|>'");
  for (const char* choice : {"--prompt TEXT", "--prompt-file", "--prompts", "--perplexity", "--interactive"})
    EXPECT_REFUSED(generate({}), choice);
}

TEST_F(PromptsCliTest, TasksExcludeEachOther) {
  const std::vector<Arguments> tasks = {{"--prompt", "a"},
                                        {"--prompt-file", "text.txt"},
                                        {"--prompts", "text.txt"},
                                        {"--interactive"},
                                        {"--perplexity", "text.txt"}};
  for (const Arguments& one : tasks) {
    for (const Arguments& other : tasks) {
      if (one == other) continue;
      Arguments both = one;
      both.insert(both.end(), other.begin(), other.end());
      EXPECT_REFUSED(generate(both), one.at(0));
      EXPECT_REFUSED(generate(both), other.at(0));
    }
  }
}

}  // namespace
}  // namespace hipgpt

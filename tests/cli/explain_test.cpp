// Tests of generate --explain and train_gpt --profile as a user runs them.
#include <cmath>

#include "cli/trained.h"

namespace hipgpt {
namespace {

class ExplainCliTest : public TrainedCliTest {
 protected:
  nlohmann::json explain(Arguments arguments) const {
    arguments.insert(arguments.end(), {"--explain", "out.json"});
    EXPECT_TRUE(succeeds(generate(arguments)));
    return nlohmann::json::parse(read("out.json"));
  }
};

TEST_F(ExplainCliTest, TheDataAreThoseOfTheModel) {
  const auto data = explain({"--prompt", "the king shall not"});
  const Result plain = generate(
      {"--prompt", "the king shall not", "--json", "--logprobs", "5", "--num-tokens", "1", "--temp", "0"});
  const auto expected = objects(plain.out).at(0);
  EXPECT_EQ(data.at("tokens"), expected.at("prompt_tokens"));
  const auto& last = data.at("checkpoints").at(0);
  const size_t count = data.at("tokens").size();
  ASSERT_GE(count, 3u);
  EXPECT_EQ(last.at("step"), 4);
  for (size_t t = 0; t + 1 < count; ++t) {
    EXPECT_NEAR(last.at("positions").at(t).at("next_logprob").get<double>(),
                expected.at("prompt_logprobs").at(t + 1).get<double>(), 1e-4);
  }
  // The last lens row has the likeliest tokens that --logprobs reports.
  const auto& lens = last.at("lens").back().back();
  const auto& likeliest = expected.at("logprobs").at(0).at("likeliest");
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(lens.at(i).at(0), likeliest.at(i).at("token"));
    EXPECT_NEAR(lens.at(i).at(1).get<double>(), std::exp(likeliest.at(i).at("logprob").get<double>()), 1e-4);
  }
  EXPECT_EQ(last.at("lens").size(), 3u);
}

TEST_F(ExplainCliTest, AttentionRowsSumToOneAndVotesToTheLogit) {
  const auto data = explain({"--prompt", "the king"});
  const double unit = data.at("attention_unit");
  const auto& checkpoint = data.at("checkpoints").at(0);
  ASSERT_EQ(checkpoint.at("heads").size(), 2u);
  for (const auto& head : checkpoint.at("heads")) {
    ASSERT_EQ(head.at("rows").size(), data.at("tokens").size());
    for (size_t i = 0; i < head.at("rows").size(); ++i) {
      double sum = 0.0;
      for (const auto& weight : head.at("rows").at(i)) sum += weight.get<double>() * unit;
      EXPECT_NEAR(sum, 1.0, 0.002);
      EXPECT_EQ(head.at("rows").at(i).size(), i + 1);
    }
  }
  for (const auto& position : checkpoint.at("positions")) {
    EXPECT_EQ(position.at("likeliest").size(), 10u);
    EXPECT_GE(position.at("votes").size(), 5u);
    for (const auto& votes : position.at("votes")) {
      ASSERT_EQ(votes.at("parts").size(), data.at("parts").size());
      double sum = position.at("mean_logit");
      for (const auto& part : votes.at("parts")) sum += part.get<double>();
      EXPECT_NEAR(sum, votes.at("logit").get<double>(), 1e-3);  // numbers have four decimals
      EXPECT_LT(std::abs(votes.at("rounding").get<double>()), 1e-4);
    }
  }
}

TEST_F(ExplainCliTest, ThePageHasTheSameData) {
  ASSERT_TRUE(succeeds(generate({"--prompt", "the king", "--explain", "out.html"})));
  const std::string page = read("out.html");
  EXPECT_LT(page.size(), 150'000u);
  const size_t begin = page.find("id=\"data\">") + 10;
  auto in_page = nlohmann::json::parse(page.substr(begin, page.find("</script>", begin) - begin));
  auto data = explain({"--prompt", "the king"});
  for (auto* each : {&in_page, &data}) each->erase("cost");  // times differ
  EXPECT_EQ(in_page, data);
}

TEST_F(ExplainCliTest, AnyBytesAreHarmless) {
  const std::string nasty = "</script>\xFF<!--\xE2\x80";
  ASSERT_TRUE(succeeds(train({{"--run-name", "wide"}, {"--seq", "64"}})));
  ASSERT_TRUE(succeeds(generate({"--prompt", nasty, "--run-name", "wide", "--explain", "out.html"})));
  const std::string page = read("out.html");
  EXPECT_TRUE(is_utf8(page));
  const size_t begin = page.find("id=\"data\">") + 10;
  const std::string json = page.substr(begin, page.find("</script>", begin) - begin);
  EXPECT_EQ(json.find('<'), std::string::npos);
  const auto data = nlohmann::json::parse(json);
  std::string shown;
  for (const auto& id : data.at("tokens"))
    shown += data.at("vocabulary").at(std::to_string(id.get<int>())).get<std::string>();
  EXPECT_EQ(shown, "</script>\\xFF<!--\\xE2\\x80");
  EXPECT_EQ(data.at("bytes"), nasty.size());
}

TEST_F(ExplainCliTest, TheContinuationIsExplainedToo) {
  const auto data =
      explain({"--prompt", "the", "--gen", "4", "--seed", "3", "--top-k", "7", "--temp", "0.7"});
  const auto drawn = objects(generate({"--prompt", "the", "--num-tokens", "4", "--seed", "3", "--top-k", "7",
                                       "--temp", "0.7", "--json"})
                                 .out)
                         .at(0);
  EXPECT_EQ(data.at("prompt_tokens").get<size_t>() + 4, data.at("tokens").size());
  const std::vector<int> tokens = data.at("tokens"), expected = drawn.at("tokens");
  EXPECT_EQ(std::vector<int>(tokens.end() - 4, tokens.end()), expected);
  // Every token that was drawn could be drawn.
  for (size_t t = data.at("prompt_tokens").get<size_t>() - 1; t + 1 < tokens.size(); ++t) {
    double chance = 0.0, sum = 0.0;
    for (const auto& c : data.at("checkpoints").at(0).at("positions").at(t).at("likeliest")) {
      sum += c.at(3).get<double>();
      if (c.at(0) == tokens[t + 1]) chance = c.at(3);
    }
    EXPECT_GT(chance, 0.0);
    EXPECT_NEAR(sum, 1.0, 1e-3);  // top-k 7
  }
  EXPECT_EQ(data.at("sampling").at("top_k"), 7);
}

TEST_F(ExplainCliTest, ARunsCheckpointsAreOnOnePage) {
  const auto data = explain({"--prompt", "the king", "--run-name", "a", "--explain-steps"});
  ASSERT_EQ(data.at("checkpoints").size(), 2u);
  EXPECT_EQ(data.at("checkpoints").at(0).at("step"), 2);
  EXPECT_EQ(data.at("checkpoints").at(1).at("step"), 4);
  const auto second = explain({"--prompt", "the king", "--run-name", "a", "--step", "2"});
  EXPECT_EQ(data.at("checkpoints").at(0), second.at("checkpoints").at(0));
  EXPECT_NE(data.at("checkpoints").at(1), second.at("checkpoints").at(0));
}

TEST_F(ExplainCliTest, AHuggingFaceFolderIsExplained) {
  const std::string folder = HIPGPT_TEST_DATA_DIR "/fixtures/gpt2_small";
  const auto data = explain({"--ckpt", folder, "--prompt", "the king"});
  const auto& position = data.at("checkpoints").at(0).at("positions").back();
  EXPECT_TRUE(data.at("checkpoints").at(0).at("step").is_null());
  EXPECT_EQ(data.at("parts").back(), "final LayerNorm bias");
  double sum = position.at("mean_logit");
  for (const auto& part : position.at("votes").at(0).at("parts")) sum += part.get<double>();
  EXPECT_NEAR(sum, position.at("votes").at(0).at("logit").get<double>(), 2e-3);
}

TEST_F(ExplainCliTest, WrongFlagsAreRefused) {
  EXPECT_REFUSED(generate({"--prompt", "a", "--explain", "out.txt"}), "--explain out.txt");
  EXPECT_REFUSED(generate({"--prompt", "a", "--explain", "no/out.html"}), "no/out.html");
  EXPECT_REFUSED(generate({"--prompt", "a", "--explain", "tokenizer.json"}), "--explain tokenizer.json");
  EXPECT_REFUSED(generate({"--prompt", "", "--explain", "out.html"}), "--prompt");
  EXPECT_REFUSED(generate({"--prompt", "zzzzzzzzz", "--explain", "out.html"}), "9 tokens");
  EXPECT_REFUSED(generate({"--prompt", "the", "--gen", "8", "--explain", "out.html"}), "--gen");
  for (const char* other : {"--json", "--logprobs", "--explain-steps"}) {
    EXPECT_REFUSED(generate({"--prompt", "a", "--explain", "out.html", other}), "--explain");
  }
  for (const char* other : {"--num-tokens", "--num-samples"}) {
    EXPECT_REFUSED(generate({"--prompt", "a", "--explain", "out.html", other, "2"}), "--explain");
  }
  for (const char* task : {"--prompts", "--perplexity", "--export"}) {
    EXPECT_REFUSED(generate({task, "text.txt", "--explain", "out.html"}), "--explain");
  }
  EXPECT_REFUSED(generate({"--prompt", "a", "--gen", "2"}), "--gen");
  EXPECT_REFUSED(generate({"--prompt", "a", "--run-name", "a", "--step", "2", "--explain-steps", "--explain",
                           "out.html"}),
                 "--step");
}

TEST_F(ExplainCliTest, AtMost256TokensAreExplained) {
  ASSERT_TRUE(succeeds(train({{"--run-name", "long"},
                              {"--seq", "300"},
                              {"--heads", "16"},
                              {"--batch", "1"},
                              {"--val-fraction", "0"}})));
  const std::string prompt(257, 'z');
  EXPECT_REFUSED(generate({"--prompt", prompt, "--run-name", "long", "--explain", "out.html"}), "256");
  const auto data = explain({"--prompt", prompt.substr(1), "--run-name", "long"});
  EXPECT_EQ(data.at("tokens").size(), 256u);
  // All weights of 16 heads would take over 2 MB, so a row has pairs of a position and a weight, at most 16.
  EXPECT_EQ(data.at("attention_rows"), "largest");
  for (const auto& head : data.at("checkpoints").at(0).at("heads")) {
    for (size_t i = 0; i < head.at("rows").size(); ++i) {
      const auto& row = head.at("rows").at(i);
      int64_t sum = 0, before = -1;
      ASSERT_LE(row.size(), 32u);
      for (size_t n = 0; n + 1 < row.size(); n += 2) {
        EXPECT_GT(row.at(n).get<int64_t>(), before);
        before = row.at(n);
        sum += row.at(n + 1).get<int64_t>();
      }
      EXPECT_LE(sum, 10010);
      EXPECT_GE(sum, i < 16 ? 9990 : 0);
    }
  }
}

using ProfileCliTest = CliTest;

TEST_F(ProfileCliTest, PrintsATableAndTrainsTheSame) {
  write_text();
  ASSERT_TRUE(succeeds(train({{"--run-name", "plain"}})));
  const Result profiled = train({{"--run-name", "profiled"}, {"--profile", "2"}});
  ASSERT_TRUE(succeeds(profiled));
  EXPECT_NE(profiled.out.find("profile    2 steps"), std::string::npos) << profiled;
  for (const char* operation : {"\nlinear ", "\nattention_backward ", "\nadamw ", "\nall "})
    EXPECT_NE(profiled.out.find(operation), std::string::npos) << operation << profiled;
  EXPECT_EQ(read("checkpoints/plain/step_4.bin"), read("checkpoints/profiled/step_4.bin"));
  EXPECT_REFUSED(train({{"--run-name", "other"}, {"--profile", "4"}}), "--profile 4");
}

}  // namespace
}  // namespace hipgpt

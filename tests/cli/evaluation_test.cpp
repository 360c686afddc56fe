// Runs generate --perplexity, --logprobs, --json and --num-samples as a user does.
#include <cmath>

#include "cli/terminal.h"
#include "cli/trained.h"

namespace hipgpt {
namespace {

using Json = nlohmann::json;

class EvaluationCliTest : public TrainedCliTest {
 protected:
  /// Returns the JSON object that --perplexity prints.
  Json perplexity(const std::string& file, const Arguments& more = {}) const {
    Arguments arguments = {"--perplexity", file, "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Result result = generate(arguments);
    EXPECT_TRUE(succeeds(result));
    return Json::parse(result.out);
  }

  /// Returns the rest of the line that begins with `name`.
  static std::string fact(const std::string& out, const std::string& name) {
    for (const std::string& line : lines_of(out)) {
      if (line.starts_with(name)) return line.substr(line.find_first_not_of(' ', name.size()));
    }
    ADD_FAILURE() << "no line '" << name << "' in:\n" << out;
    return "";
  }
};

// ---- Perplexity

TEST_F(EvaluationCliTest, ALongTextShowsProgressOnATerminal) {
  std::string text = sample_text(10'000);
  while (text.size() < (size_t{16} << 20)) text += text;
  write("long.txt", text);
  Terminal terminal(folder_, HIPGPT_GENERATE, {"--perplexity", "long.txt", "--threads", "1"});
  if (!terminal.there()) GTEST_SKIP() << "there are no terminals here";
  const std::string first = terminal.wait_for(" so far");
  EXPECT_NE(first.find("% of the text, perplexity "), std::string::npos) << first;
}

TEST_F(EvaluationCliTest, PerplexityFollowsFromTheLoss) {
  const Json p = perplexity("text.txt");
  EXPECT_EQ(p.at("file"), "text.txt");
  EXPECT_EQ(p.at("bytes"), fs::file_size(path("text.txt")));
  EXPECT_EQ(p.at("scored"), p.at("tokens").get<int>() - 1);
  const double loss = p.at("loss");
  EXPECT_NEAR(p.at("perplexity"), std::exp(loss), 1e-9 * std::exp(loss));
  const double bits = p.at("bits_per_byte").get<double>() * static_cast<double>(p.at("bytes"));
  // The loss covers all bytes except those of the first token, which is not longer than a word.
  EXPECT_NEAR(bits, loss * p.at("scored").get<double>() / std::log(2.0),
              20 * p.at("bits_per_byte").get<double>());
  EXPECT_GT(loss, 2.0);
  EXPECT_LT(loss, std::log(300.0) + 1.0);
}

TEST_F(EvaluationCliTest, PerplexityIsAlsoPrintedAsText) {
  const Json p = perplexity("text.txt");
  const Result result = generate({"--perplexity", "text.txt"});
  ASSERT_TRUE(succeeds(result));
  EXPECT_NEAR(std::stod(fact(result.out, "loss ")), p.at("loss"), 1e-6);
  EXPECT_NEAR(std::stod(fact(result.out, "perplexity ")), p.at("perplexity"), 1e-2);
  EXPECT_NEAR(std::stod(fact(result.out, "bits per byte ")), p.at("bits_per_byte"), 1e-6);
  EXPECT_EQ(std::stoi(fact(result.out, "tokens ")), p.at("tokens"));
  EXPECT_EQ(std::stoi(fact(result.out, "bytes ")), p.at("bytes"));
}

TEST_F(EvaluationCliTest, TheStrideDefaultsToHalfAWindowAndChangesTheScore) {
  EXPECT_EQ(perplexity("text.txt"), perplexity("text.txt", {"--stride", "4"}));
  const Json one = perplexity("text.txt", {"--stride", "1"}),
             eight = perplexity("text.txt", {"--stride", "8"});
  EXPECT_NE(one.at("loss"), perplexity("text.txt").at("loss"));
  EXPECT_EQ(one.at("scored"), one.at("tokens").get<int>() - 1);
  // The first token of each window of 8 has nothing before it.
  EXPECT_EQ(eight.at("scored"), eight.at("tokens").get<int>() - (eight.at("tokens").get<int>() + 7) / 8);
  EXPECT_REFUSED(generate({"--perplexity", "text.txt", "--stride", "9"}), "--stride 9");
}

TEST_F(EvaluationCliTest, SmallerWeightsHardlyChangeThePerplexity) {
  const double exact = perplexity("text.txt", {"--device", "cpu"}).at("perplexity");
  for (const auto& [weights, tolerance] : {std::pair{"bf16", 1e-3}, std::pair{"int8", 5e-3}}) {
    const double p = perplexity("text.txt", {"--device", "cpu", "--weights", weights}).at("perplexity");
    EXPECT_NEAR(p, exact, tolerance * exact) << weights;
    EXPECT_NE(p, exact) << weights;
    const Result result = generate({"--prompt", "the king", "--device", "cpu", "--weights", weights});
    EXPECT_TRUE(succeeds(result));
    EXPECT_NE(result.err.find(std::string(weights) + " weights"), std::string::npos) << result;
  }
}

TEST_F(EvaluationCliTest, SmallerWeightsHaveTheirLimits) {
  EXPECT_REFUSED(generate({"--prompt", "the", "--weights", "int4"}), "--weights");
  EXPECT_REFUSED(generate({"--export", "e", "--weights", "int8"}), "--weights");
  EXPECT_REFUSED(generate({"--prompt", "the", "--device", "cpu", "--dtype", "bf16", "--weights", "int8"}),
                 "--weights int8: on this device, needs --dtype fp32");
}

TEST_F(EvaluationCliTest, PerplexityOfShortAndOfBinaryTexts) {
  write("short.txt", "the king");  // shorter than a window
  const Json brief = perplexity("short.txt");
  EXPECT_EQ(brief.at("bytes"), 8);
  EXPECT_LT(brief.at("tokens"), 8);
  EXPECT_EQ(brief.at("scored"), brief.at("tokens").get<int>() - 1);
  std::string bytes;
  for (int i = 0; i < 3000; ++i) bytes += static_cast<char>(i * i / 7);
  write("binary", bytes);
  EXPECT_EQ(perplexity("binary").at("bytes"), 3000);
  EXPECT_TRUE(std::isfinite(perplexity("binary").at("loss").get<double>()));
}

TEST_F(EvaluationCliTest, ATextThatCannotBeScoredIsRefused) {
  write("empty.txt", "");
  write("one.txt", "x");
  fs::create_directory(path("folder"));
  EXPECT_REFUSED(generate({"--perplexity", "empty.txt"}), "empty.txt: has 0 tokens");
  EXPECT_REFUSED(generate({"--perplexity", "one.txt"}), "one.txt: has 1 token;");
  EXPECT_REFUSED(generate({"--perplexity", "missing.txt"}), "missing.txt: no such file");
  EXPECT_REFUSED(generate({"--perplexity", "folder"}), "folder: is a folder");
  EXPECT_REFUSED(generate({"--perplexity", ""}), "--perplexity");
  EXPECT_REFUSED(generate({"--perplexity", "text.txt", "--logprobs"}), "--logprobs");
  EXPECT_REFUSED(generate({"--prompt", "a", "--stride", "4"}), "--perplexity");
}

// ---- Log-probabilities

TEST_F(EvaluationCliTest, PromptLogProbabilitiesMatchItsPerplexity) {
  const std::string prompt = "the king shall not sleep while thunder rolls over the high hills.";
  write("prompt.txt", prompt);
  const Json p = perplexity("prompt.txt");
  const Json sample = objects(text_of({{"--prompt", prompt}}, {"--json", "--logprobs"})).at(0);
  const auto& logprobs = sample.at("prompt_logprobs");
  ASSERT_EQ(logprobs.size(), p.at("tokens"));
  ASSERT_EQ(logprobs.size(), sample.at("prompt_tokens").size());
  EXPECT_TRUE(logprobs.at(0).is_null());
  double total = 0;
  for (size_t i = 1; i < logprobs.size(); ++i) total += logprobs.at(i).get<double>();
  EXPECT_NEAR(-total / p.at("scored").get<double>(), p.at("loss"), 1e-5);
}

TEST_F(EvaluationCliTest, LogProbabilitiesDoNotDependOnHowTokensAreDrawn) {
  // The most likely token is the one that greedy sampling draws, and other sampling flags do not change its
  // probability.
  const auto first = [&](const Flags& flags) {
    return objects(text_of(flags, {"--json", "--logprobs", "3"})).at(0).at("logprobs").at(0);
  };
  const Json greedy = first({{"--temp", "0"}});
  EXPECT_EQ(greedy.at("token"), greedy.at("likeliest").at(0).at("token"));
  EXPECT_EQ(greedy.at("logprob"), greedy.at("likeliest").at(0).at("logprob"));
  for (const Flags& rules : {Flags{{"--temp", "3"}}, Flags{{"--top-k", "1"}}, Flags{{"--rep-penalty", "9"}}})
    EXPECT_EQ(first(rules).at("likeliest"), greedy.at("likeliest"));
}

TEST_F(EvaluationCliTest, LikeliestTokensAreInOrderAndAllOfThemAddUpToOne) {
  const Json sample = objects(text_of({{"--num-tokens", "12"}}, {"--json", "--logprobs", "300"})).at(0);
  ASSERT_EQ(sample.at("logprobs").size(), 12u);
  for (size_t t = 0; t < 12; ++t) {
    const Json& drawn = sample.at("logprobs").at(t);
    EXPECT_EQ(drawn.at("token"), sample.at("tokens").at(t));
    double total = 0, before = 0;
    for (const Json& token : drawn.at("likeliest")) {
      const double logprob = token.at("logprob");
      EXPECT_LE(logprob, before);
      before = logprob;
      total += std::exp(logprob);
      if (token.at("token") == drawn.at("token")) {
        EXPECT_EQ(logprob, drawn.at("logprob"));
      }
    }
    EXPECT_NEAR(total, 1.0, 1e-9);
  }
  EXPECT_FALSE(
      objects(text_of({}, {"--json", "--logprobs"})).at(0).at("logprobs").at(0).contains("likeliest"));
}

TEST_F(EvaluationCliTest, LogProbabilitiesInTextFormFollowTheSample) {
  const std::string plain = text({{"--num-tokens", "3"}});
  const std::string with = text_of({{"--num-tokens", "3"}}, {"--logprobs", "2"});
  ASSERT_TRUE(with.starts_with(plain)) << with;
  const Json sample = objects(text_of({{"--num-tokens", "3"}}, {"--logprobs", "2", "--json"})).at(0);
  const auto table = lines_of(with.substr(plain.size()));
  const size_t prompt = sample.at("prompt_tokens").size();
  ASSERT_EQ(table.size(), prompt + 3);
  EXPECT_EQ(table.at(0).substr(0, 11), "        -  ");
  for (size_t t = 0; t < 3; ++t) {
    const Json& drawn = sample.at("logprobs").at(t);
    EXPECT_NEAR(std::stod(table.at(prompt + t)), drawn.at("logprob"), 1e-4);
    EXPECT_NE(table.at(prompt + t).find(drawn.at("likeliest").at(1).at("text").dump()), std::string::npos);
  }
}

// ---- JSON

TEST_F(EvaluationCliTest, JsonHoldsTheTextAndTheDrawnTokens) {
  const Json sample = objects(text_of({{"--num-tokens", "6"}}, {"--json"})).at(0);
  const std::string plain = text({{"--num-tokens", "6"}});
  EXPECT_EQ(sample.at("prompt"), "the king");
  EXPECT_EQ(sample.at("seed"), 1);
  EXPECT_EQ(sample.at("sample"), 0);
  EXPECT_EQ(sample.at("finish_reason"), "length");
  EXPECT_EQ(sample.at("tokens").size(), 6u);
  EXPECT_FALSE(sample.contains("logprobs"));
  EXPECT_EQ(plain, "the king" + sample.at("text").get<std::string>() + "\n");
}

TEST_F(EvaluationCliTest, JsonIsUtf8ForAnyBytes) {
  for (int seed = 1; seed <= 4; ++seed) {
    const std::string out =
        text_of({{"--prompt", "a\xFF\x80z"}, {"--seed", std::to_string(seed)}, {"--num-tokens", "100"}},
                {"--json", "--logprobs", "2"});
    EXPECT_TRUE(is_utf8(out));
    EXPECT_EQ(objects(out).at(0).at("prompt"), "a\xEF\xBF\xBD\xEF\xBF\xBDz");
  }
}

TEST_F(EvaluationCliTest, AStopTokenEndsASampleAndIsItsLastToken) {
  // The stop token is the third token of greedy generation.
  const Json greedy = objects(text_of({{"--temp", "0"}, {"--num-tokens", "3"}}, {"--json"})).at(0);
  const std::string third = greedy.at("tokens").at(2).dump();
  const Json stopped =
      objects(text_of({{"--temp", "0"}, {"--eos-id", third}}, {"--json", "--logprobs"})).at(0);
  EXPECT_EQ(stopped.at("finish_reason"), "stop");
  EXPECT_EQ(stopped.at("tokens").back().dump(), third);
  EXPECT_LE(stopped.at("tokens").size(), 3u);
  EXPECT_EQ(stopped.at("logprobs").size(), stopped.at("tokens").size());
  EXPECT_TRUE(greedy.at("text").get<std::string>().starts_with(stopped.at("text").get<std::string>()));
  EXPECT_LT(stopped.at("text").get<std::string>().size(), greedy.at("text").get<std::string>().size());
}

// ---- Samples

TEST_F(EvaluationCliTest, SamplesAreTheSameHoweverManyAreAskedFor) {
  const auto samples = [&](const char* count) {
    return objects(text_of({{"--num-samples", count}, {"--num-tokens", "20"}}, {"--json"}));
  };
  const auto one = samples("1"), five = samples("5"), many = samples("70");
  ASSERT_EQ(five.size(), 5u);
  ASSERT_EQ(many.size(), 70u);  // more than are drawn at once
  EXPECT_EQ(one.at(0), five.at(0));
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(many.at(i), five.at(i)) << i;
  for (size_t i = 1; i < 70; ++i) {
    EXPECT_EQ(many.at(i).at("sample"), i);
    EXPECT_NE(many.at(i).at("tokens"), many.at(i - 1).at("tokens")) << i;
  }
}

TEST_F(EvaluationCliTest, SamplesArePrintedOneAfterTheOther) {
  std::string expected;
  for (const Json& sample : objects(text_of({{"--num-samples", "3"}, {"--top-k", "2"}}, {"--json"}))) {
    if (!expected.empty()) expected += "---\n";
    expected += "the king" + sample.at("text").get<std::string>() + "\n";
  }
  EXPECT_EQ(text({{"--num-samples", "3"}, {"--top-k", "2"}}), expected);
  EXPECT_TRUE(expected.starts_with(text({{"--top-k", "2"}})));
}

TEST_F(EvaluationCliTest, TokensAfterTheStopTokenDoNotCount) {
  const std::string stop = objects(text_of({}, {"--json"})).at(0).at("tokens").at(1).dump();
  const Arguments arguments = {"--prompt", "the king", "--seed",   "1",  "--top-k",      "0", "--num-samples",
                               "4",        "--json",   "--eos-id", stop, "--num-tokens", "30"};
  const Result result = generate(arguments);
  ASSERT_TRUE(succeeds(result));
  size_t tokens = 0, stopped = 0;
  for (const Json& sample : objects(result.out)) {
    tokens += sample.at("tokens").size();
    stopped += sample.at("finish_reason") == "stop";
    for (size_t t = 0; t + 1 < sample.at("tokens").size(); ++t)
      EXPECT_NE(sample.at("tokens").at(t).dump(), stop);
  }
  EXPECT_GE(stopped, 1u);
  EXPECT_LT(tokens, 120u);
  EXPECT_TRUE(last_line(result.err).starts_with(std::to_string(tokens) + " tokens in")) << result.err;
}

}  // namespace
}  // namespace hipgpt

// Runs generate as a user does.
#include "cli/trained.h"

namespace hipgpt {
namespace {

class GenerationCliTest : public TrainedCliTest {};

TEST_F(GenerationCliTest, BeginsWithThePromptAndEndsTheLine) {
  for (const char* prompt :
       {"the king", "x", " ", "\n", "--steps", "-1", "[a, b]", "%%", "\"quoted\"", "a\\n", "é", "日本語",
        "\U0001F439", "a prompt of far more tokens than the model sees at once, and some more after them"}) {
    const std::string out = text({{"--prompt", prompt}, {"--num-tokens", "20"}});
    EXPECT_TRUE(out.starts_with(prompt)) << out;
    EXPECT_TRUE(out.ends_with('\n'));
    EXPECT_GT(out.size(), std::string(prompt).size() + 1);
    EXPECT_TRUE(is_utf8(out)) << prompt;
  }
}

TEST_F(GenerationCliTest, IsValidUtf8ForAnyBytesOfTheModel) {
  for (int seed = 1; seed <= 8; ++seed)
    EXPECT_TRUE(is_utf8(text({{"--seed", std::to_string(seed)}, {"--num-tokens", "300"}}))) << seed;
}

TEST_F(GenerationCliTest, TheSameSeedGivesTheSameTextOnAnyNumberOfThreads) {
  const std::string first = text({});
  EXPECT_EQ(text({}), first);
  EXPECT_EQ(text({{"--threads", "1"}}), first);
  EXPECT_EQ(text({{"--threads", "3"}}), first);
  EXPECT_NE(text({{"--seed", "2"}}), first);
}

TEST_F(GenerationCliTest, WithoutASeedItReportsTheOneItChose) {
  const Result result = generate({"--prompt", "the king", "--top-k", "0"});
  ASSERT_TRUE(succeeds(result));
  const size_t at = result.err.find("seed ");
  ASSERT_NE(at, std::string::npos) << result.err;
  const std::string seed = result.err.substr(at + 5, result.err.find('\n', at) - at - 5);
  EXPECT_EQ(text({{"--seed", seed}}), result.out);
}

TEST_F(GenerationCliTest, GreedyIsTheSameForAllSeeds) {
  const std::string greedy = text({{"--temp", "0"}});
  EXPECT_EQ(text({{"--temp", "0"}, {"--seed", "2"}}), greedy);
  EXPECT_EQ(text({{"--top-k", "1"}, {"--seed", "3"}}), greedy);
  EXPECT_EQ(text({{"--top-p", "1e-9"}, {"--seed", "4"}}), greedy);
}

TEST_F(GenerationCliTest, EverySamplingFlagMatters) {
  const std::string plain = text({});
  for (const auto& [flag, value] :
       Flags{{"--top-k", "3"}, {"--top-p", "0.2"}, {"--temp", "5"}, {"--rep-penalty", "50"}}) {
    EXPECT_NE(text({{flag, value}}), plain) << flag;
  }
}

TEST_F(GenerationCliTest, GivesTheRequestedTokensEvenPastTheContext) {
  for (const char* count : {"1", "7", "100"}) {
    const Result result = generate({"--prompt", "the king", "--num_tokens", count});
    ASSERT_TRUE(succeeds(result));
    const std::string noun = count == std::string("1") ? " token in" : " tokens in";
    EXPECT_TRUE(last_line(result.err).starts_with(count + noun)) << result.err;
  }
}

TEST_F(GenerationCliTest, AShorterTextIsTheBeginningOfALongerOne) {
  std::string shorter = text({{"--num-tokens", "10"}, {"--prompt", "the"}, {"--top-k", "0"}});
  shorter.pop_back();
  while (shorter.ends_with("\xEF\xBF\xBD"))
    shorter.resize(shorter.size() - 3);  // a character cut short, or a broken one
  EXPECT_TRUE(text({{"--num-tokens", "60"}, {"--prompt", "the"}}).starts_with(shorter));
}

TEST_F(GenerationCliTest, TakesTheCheckpointOfANamedRunByItsStep) {
  const auto said = [&](const Arguments& arguments) {
    const Result result = generate(arguments);
    EXPECT_TRUE(succeeds(result));
    return result.err;
  };
  EXPECT_NE(said({"--prompt", "a", "--run-name", "a"}).find(": step 4,"), std::string::npos);
  EXPECT_NE(said({"--prompt", "a", "--run-name", "a", "--step", "2"}).find(": step 2,"), std::string::npos);
  EXPECT_NE(said({"--prompt", "a", "--ckpt", "checkpoints/a/step_2.bin"}).find(": step 2,"),
            std::string::npos);
  EXPECT_EQ(text({{"--run-name", "a"}}),
            text({{"--ckpt", "checkpoints/a/step_4.bin"}, {"--tokenizer", "tokenizer.json"}}));
}

TEST_F(GenerationCliTest, AMissingStepIsRefused) {
  EXPECT_REFUSED(generate({"--prompt", "a", "--run-name", "a", "--step", "3"}), "step_3.bin");
  EXPECT_REFUSED(generate({"--prompt", "a", "--run-name", "nobody"}), "nobody");
  EXPECT_REFUSED(generate({"--prompt", "a", "--step", "2"}), "--run-name");
}

TEST_F(GenerationCliTest, FlagsThatContradictEachOtherAreRefused) {
  EXPECT_REFUSED(generate({"--prompt", "a", "--ckpt", "gpt_checkpoint.bin", "--step", "2"}), "--step");
  EXPECT_REFUSED(generate({"--prompt", "a", "--ckpt", "gpt_checkpoint.bin", "--run-name", "a"}),
                 "--run-name");
}

TEST_F(GenerationCliTest, APromptWithoutTokensIsRefused) {
  EXPECT_REFUSED(generate({"--prompt", ""}), "--prompt");
  EXPECT_REFUSED(generate({}), "--prompt");
}

TEST_F(GenerationCliTest, AStopTokenOutsideTheVocabularyIsRefused) {
  EXPECT_REFUSED(generate({"--prompt", "a", "--eos_id", "300"}), "--eos-id 300");
  EXPECT_REFUSED(generate({"--prompt", "a", "--eos-id", "1000000000"}), "--eos-id");
  EXPECT_TRUE(succeeds(generate({"--prompt", "a", "--eos-id", "299"})));
}

TEST_F(GenerationCliTest, WithoutAModelItSaysSo) {
  fs::remove(path("gpt_checkpoint.bin"));
  EXPECT_REFUSED(generate({"--prompt", "a"}), "gpt_checkpoint.bin");
}

/// Without kernels for several processors, OpenBLAS ignores the variable, and there is nothing to report.
TEST_F(GenerationCliTest, SlowKernelsOfOpenBlasAreReported) {
  ::setenv("OPENBLAS_CORETYPE", "Prescott", 1);
  const Result slow = generate({"--prompt", "the king", "--device", "cpu", "--num-tokens", "1"});
  ::unsetenv("OPENBLAS_CORETYPE");
  EXPECT_TRUE(succeeds(slow));
  const bool uses_them = slow.err.find("for Prescott") != std::string::npos;
  EXPECT_EQ(uses_them, slow.err.find("OPENBLAS_CORETYPE=Prescott: matrix products do not use this "
                                     "processor's ") != std::string::npos)
      << slow;
  EXPECT_EQ(lines_of(slow.err).size(), uses_them ? 3u : 2u) << slow;
}

TEST_F(GenerationCliTest, VectorsOfAnOlderProcessorCanBeChosen) {
  const auto with = [&](const char* vectors) {
    ::setenv("HIPGPT_VECTORS", vectors, 1);
    const Result result = generate({"--prompt", "the king", "--device", "cpu", "--num-tokens", "1"});
    ::unsetenv("HIPGPT_VECTORS");
    return result;
  };
  for (const char* vectors : {"baseline", "avx2", "avx512", "amx", ""}) {
    EXPECT_TRUE(succeeds(with(vectors))) << vectors;
  }
  EXPECT_REFUSED(with("sse9"), "HIPGPT_VECTORS=sse9: choose baseline");
}

class StopTokenCliTest : public CliTest {
 protected:
  StopTokenCliTest() {
    std::string text;
    for (int i = 0; i < 500; ++i) text += "go on<|endoftext|>";
    write("text.txt", text);
    const Result result =
        train({{"--steps", "300"}, {"--lr", "0.01"}, {"--warmup-steps", "10"}, {"--vocab-size", "260"}});
    if (!succeeds(result)) throw std::runtime_error("cannot train");
  }

  std::string greedy(const Arguments& more) const {
    Arguments arguments = {"--prompt", "go", "--temp", "0", "--num-tokens", "20"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Result result = generate(arguments);
    EXPECT_TRUE(succeeds(result));
    return result.out;
  }
};

TEST_F(StopTokenCliTest, EndOfTextEndsIt) {
  EXPECT_EQ(greedy({}), "go on\n");
}

TEST_F(StopTokenCliTest, AnotherStopTokenReplacesIt) {
  const auto vocab = nlohmann::json::parse(read("tokenizer.json")).at("model").at("vocab");
  EXPECT_TRUE(greedy({"--eos-id", vocab.at("q").dump()}).starts_with("go on<|endoftext|>go on<|endoftext|>"));
  EXPECT_EQ(greedy({"--eos-id", vocab.at("<|endoftext|>").dump()}), "go on\n");
}

}  // namespace
}  // namespace hipgpt

// Tests of both programs' flags: spellings, --config, --help, --version, and values that a flag cannot have.
#include "cli/program.h"

namespace hipgpt {
namespace {

using FlagsCliTest = CliTest;

struct NumberFlag {
  const char* name;
  Arguments out_of_range;
  bool whole;
};

/// Every flag for a number refuses these.
const Arguments kNoNumber = {"abc", "", "nan", "inf", "99999999999999999999999"};

/// Every flag for a number with a fraction refuses these, because they would be 0 in single precision.
const Arguments kTooSmall = {"1e-40", "1e-300", "1e-5000"};

/// All flags of a kind refuse these in the same way, so the test tries one flag of each kind.
const Arguments kHardlyANumber = {"12abc",  "-nan", "-inf", "1e400", "1,5", "--",
                                  "--seed", "1 2",  "0x",   "+",     "1e",  "."};

const std::vector<NumberFlag> kTrainingNumbers = {{"--vocab-size", {"255", "0", "-1", "16777217"}, true},
                                                  {"--val-fraction", {"-0.1", "1", "0.91"}, false},
                                                  {"--dim", {"0", "-16", "65537"}, true},
                                                  {"--heads", {"0", "-2", "4097"}, true},
                                                  {"--layers", {"0", "-1", "1025"}, true},
                                                  {"--ff", {"0", "-1", "2000000"}, true},
                                                  {"--seq", {"0", "-1", "2000000"}, true},
                                                  {"--steps", {"0", "-1", "1000000001"}, true},
                                                  {"--batch", {"0", "-1", "2000000"}, true},
                                                  {"--grad-accum", {"0", "-1", "2000000"}, true},
                                                  {"--lr", {"0", "-1e-3", "1001"}, false},
                                                  {"--min-lr", {"-1e-3", "1001"}, false},
                                                  {"--warmup-steps", {"-1", "1000000001"}, true},
                                                  {"--beta1", {"-0.1", "1", "2"}, false},
                                                  {"--beta2", {"-0.1", "1", "2"}, false},
                                                  {"--weight-decay", {"-1", "101"}, false},
                                                  {"--grad-clip", {"-1", "1e10"}, false},
                                                  {"--dropout", {"-0.1", "1"}, false},
                                                  {"--seed", {"-1", "1e30", "9007199254740993"}, true},
                                                  {"--log-every", {"0", "-1"}, true},
                                                  {"--eval-every", {"-1"}, true},
                                                  {"--eval-batches", {"-1"}, true},
                                                  {"--ckpt-every", {"-1"}, true},
                                                  {"--sample-every", {"-1", "1000000001"}, true},
                                                  {"--sample-tokens", {"0", "-1"}, true},
                                                  {"--keep-last", {"0", "-1"}, true},
                                                  {"--threads", {"-1", "4097"}, true}};

const std::vector<NumberFlag> kGenerationNumbers = {{"--num-tokens", {"0", "-1", "1000000001"}, true},
                                                    {"--num-samples", {"0", "-1", "1000001"}, true},
                                                    {"--eos-id", {"-2", "1000000001"}, true},
                                                    {"--top-k", {"-1", "1000000001"}, true},
                                                    {"--top-p", {"0", "-0.1", "1.1"}, false},
                                                    {"--temp", {"-1", "1e7"}, false},
                                                    {"--rep-penalty", {"0", "-1", "101"}, false},
                                                    {"--seed", {"-1", "1e30", "9007199254740993"}, true},
                                                    {"--step", {"-1", "1000000001"}, true},
                                                    {"--threads", {"-1", "4097"}, true}};

Arguments bad_values(const NumberFlag& flag) {
  Arguments values = kNoNumber;
  values.insert(values.end(), flag.out_of_range.begin(), flag.out_of_range.end());
  if (flag.whole) values.push_back("300.5");
  if (!flag.whole) values.insert(values.end(), kTooSmall.begin(), kTooSmall.end());
  return values;
}

TEST_F(FlagsCliTest, TrainGptRefusesEveryNumberOutOfRangeByTheNameOfItsFlag) {
  for (const NumberFlag& flag : kTrainingNumbers) {
    for (const std::string& value : bad_values(flag)) {
      EXPECT_TRUE(refuses(train_gpt({flag.name, value}), flag.name)) << "value: " << value;
    }
  }
  EXPECT_TRUE(snapshot().empty());
}

TEST_F(FlagsCliTest, GenerateRefusesEveryNumberOutOfRangeByTheNameOfItsFlag) {
  for (const NumberFlag& flag : kGenerationNumbers) {
    for (const std::string& value : bad_values(flag)) {
      EXPECT_TRUE(refuses(generate({"--prompt", "a", flag.name, value}), flag.name)) << "value: " << value;
    }
  }
}

TEST_F(FlagsCliTest, BothEndsOfARangeAreInIt) {
  write_text();
  EXPECT_TRUE(succeeds(train({{"--val-fraction", "0.9"}, {"--weight-decay", "100"}, {"--beta1", "0"}})));
  const Flags prompt = {{"--prompt", "the"}, {"--num-tokens", "1"}};
  for (const auto& [flag, value] : Flags{{"--top-p", "1"}, {"--rep-penalty", "100"}, {"--temp", "0"}}) {
    Flags flags = prompt;
    flags[flag] = value;
    EXPECT_TRUE(succeeds(generate(to_arguments(flags)))) << flag;
  }
}

TEST_F(FlagsCliTest, NumbersAtTheEndsOfTheirRangesAreAccepted) {
  write_text();
  EXPECT_TRUE(
      succeeds(train({{"--seed", "9007199254740992"}, {"--grad-clip", "1.2e-38"}, {"--dropout", "0.0"}})));
  EXPECT_TRUE(
      succeeds(generate({"--prompt", "the king", "--seed", "9007199254740992", "--temp", "1.2e-38"})));
}

TEST_F(FlagsCliTest, NumbersForScoringAreCheckedToo) {
  for (const char* value : {"abc", "nan", "-1", "1000000001", "2.5"})
    EXPECT_TRUE(refuses(generate({"--prompt", "a", "--logprobs", value}), "--logprobs: ")) << value;
  for (const char* value : {"abc", "", "nan", "0", "-1", "2000000", "2.5"})
    EXPECT_TRUE(refuses(generate({"--perplexity", "a", "--stride", value}), "--stride: ")) << value;
}

TEST_F(FlagsCliTest, ANumberIsTheWholeValue) {
  for (const std::string flag : {"--steps", "--dim", "--lr", "--min-lr"}) {
    for (const std::string& value : kHardlyANumber) {
      EXPECT_TRUE(refuses(train_gpt({flag + "=" + value}), flag)) << "value: " << value;
    }
  }
}

TEST_F(FlagsCliTest, RefusesUnknownFlagsAndMissingValues) {
  const std::vector<std::pair<Arguments, std::string>> cases = {{{"--nonsense"}, "--nonsense"},
                                                                {{"--nonsense", "3"}, "--nonsense"},
                                                                {{"--nonsense=3"}, "--nonsense"},
                                                                {{"-x"}, "-x"},
                                                                {{"stray"}, "stray"},
                                                                {{"--threads"}, "--threads"},
                                                                {{"--device"}, "--device"},
                                                                {{"--config"}, "--config"}};
  for (const auto& [arguments, words] : cases) {
    EXPECT_TRUE(refuses(train_gpt(arguments), words));
    Arguments with_prompt = {"--prompt", "a"};
    with_prompt.insert(with_prompt.end(), arguments.begin(), arguments.end());
    EXPECT_TRUE(refuses(generate(with_prompt), words));
  }
  EXPECT_TRUE(snapshot().empty());
}

TEST_F(FlagsCliTest, TrainGptRefusesChoicesThatDoNotExist) {
  const Flags cases = {{"--activation", "tanh"}, {"--preset", "gpt5"},   {"--final-layernorm", "perhaps"},
                       {"--run-name", "a/b"},    {"--device", "abacus"}, {"--activation", "ReLU "}};
  write_text();
  for (const auto& [flag, value] : cases) EXPECT_REFUSED(train({{flag, value}}), flag);
  EXPECT_REFUSED(train({{"--heads", "3"}}), "--heads 3");
  EXPECT_REFUSED(train({{"--dim", "15"}}), "--dim 15");
}

TEST_F(FlagsCliTest, ABooleanIsTrueOrFalse) {
  write_text();
  for (const char* value : {"", "2", "2.5", "-1", "perhaps"})
    EXPECT_REFUSED(train({{"--head-bias", value}}), "--head-bias");
}

TEST_F(FlagsCliTest, ARunNameIsASingleFolderName) {
  write_text();
  for (const std::string& name :
       {std::string("a/b"), std::string("/a"), std::string("a/"), std::string("."), std::string(".."),
        std::string("../a"), std::string(201, 'a'), std::string(5000, 'a')}) {
    EXPECT_REFUSED(train({{"--run-name", name}}), "--run-name");
    EXPECT_REFUSED(generate({"--prompt", "a", "--run-name", name}), "--run-name");
  }
}

TEST_F(FlagsCliTest, ARunToResumeAlsoHasASingleFolderName) {
  // The flags of that run are read before anything else is done.
  EXPECT_REFUSED(train_gpt({"--resume", "--run-name", "a/b"}), "--run-name");
}

TEST_F(FlagsCliTest, AnEmptyRunNameIsNotTheWorkingFolder) {
  write_text();
  EXPECT_REFUSED(train({{"--run-name", ""}}), "--run-name");
  EXPECT_REFUSED(generate({"--prompt", "a", "--run-name", ""}), "--run-name");
  for (const char* flag : {"--tensorboard", "--sample-prompt"}) EXPECT_REFUSED(train({{flag, ""}}), flag);
}

TEST_F(FlagsCliTest, AMessageIsOneLineWhateverANameHolds) {
  write_text();
  EXPECT_REFUSED(train({{"--data-path", "no\nsuch file"}}), "such file");
  EXPECT_REFUSED(train({{"--ckpt", "no\nsuch file"}}), "such file");
  EXPECT_REFUSED(train({{"--run-name", "a/\nb"}}), "--run-name");
  EXPECT_REFUSED(train({{"--lr", "1\n2"}}), "--lr");
  EXPECT_REFUSED(generate({"--prompt", "a", "--ckpt", "no\r\nsuch file"}), "such file");
  EXPECT_REFUSED(generate({"--prompt", "a", "--run-name", "no\nsuch run"}), "such run");
}

TEST_F(FlagsCliTest, LeadingZerosDoNotMeanOctal) {
  write_text();
  const Result result = train({{"--steps", "010"}});
  EXPECT_TRUE(result.out.find("/10 ") != std::string::npos || refuses(result, "--steps")) << result;
}

/// "--grad-accum" -> "--grad_accum".
std::string underscored(std::string flag) {
  std::replace(flag.begin() + 2, flag.end(), '-', '_');
  return flag;
}

TEST_F(FlagsCliTest, UnderscoresAndHyphensAreTheSame) {
  write_text();
  Flags hyphens, underscores;
  for (const auto& [flag, value] : small({{"--grad-accum", "2"},
                                          {"--weight-decay", "0.2"},
                                          {"--run-name", "a_b-c"},
                                          {"--min-lr", "1e-4"}})) {
    hyphens[flag] = value;
    underscores[underscored(flag)] = value;
  }
  ASSERT_TRUE(succeeds(train_gpt(to_arguments(hyphens))));
  const std::string checkpoint = read("checkpoints/a_b-c/step_4.bin");
  fs::remove_all(path("checkpoints"));
  ASSERT_TRUE(succeeds(train_gpt(to_arguments(underscores))));
  EXPECT_TRUE(read("checkpoints/a_b-c/step_4.bin") == checkpoint);

  const Result a =
      generate({"--prompt", "a", "--run-name", "a_b-c", "--num-tokens", "9", "--top-k", "9", "--seed", "1"});
  const Result b =
      generate({"--prompt", "a", "--run_name", "a_b-c", "--num_tokens", "9", "--top_k", "9", "--seed", "1"});
  EXPECT_TRUE(succeeds(a));
  EXPECT_EQ(a.out, b.out);
}

TEST_F(FlagsCliTest, TheLastOfAFlagGivenTwiceCounts) {
  write_text();
  write("other.txt", sample_text(300, 7));
  const Arguments twice = {"--steps", "3", "--lr=0.5", "--lr", "0.01",        "--activation", "gelu",
                           "--seed",  "1", "--seed",   "2",    "--head_bias", "false"};
  ASSERT_TRUE(succeeds(train({{"--head-bias", "true"}, {"--seed", "5"}}, twice)));
  const std::string weights = read("gpt_checkpoint.bin");
  // The flags that are saved with the run are those that counted.
  EXPECT_TRUE(succeeds(train_gpt({"--resume"})));
  const Flags once = {{"--steps", "3"},
                      {"--lr", "0.01"},
                      {"--activation", "gelu"},
                      {"--seed", "2"},
                      {"--head-bias", "false"}};
  ASSERT_TRUE(succeeds(train(once, {"--reset", "--reset", "--device", "hip:7", "--device", "cpu"})));
  EXPECT_TRUE(read("gpt_checkpoint.bin") == weights);

  const Result last = generate({"--prompt", "the", "--prompt", "hills", "--num-tokens", "9", "--num-tokens",
                                "2", "--logprobs", "3", "--logprobs"});
  EXPECT_TRUE(succeeds(last));
  EXPECT_TRUE(last.out.starts_with("hills"));
  EXPECT_TRUE(last_line(last.err).starts_with("2 tokens in"));
  // A value that does not count must still be one, and all paths of --data-path count.
  EXPECT_REFUSED(train({}, {"--lr", "x", "--lr", "1"}), "--lr");
  EXPECT_REFUSED(train({}, {"--data-path", "missing.txt"}), "missing.txt");
}

TEST_F(FlagsCliTest, AWarmUpThatOutlastsTheRunIsReported) {
  write_text();
  const Result result = train({{"--steps", "4"}, {"--warmup-steps", "8"}, {"--lr", "0.01"}});
  EXPECT_TRUE(succeeds(result));
  EXPECT_EQ(result.err,
            "train_gpt: --warmup-steps 8 is above --steps 4: the learning rate rises only to 0.005 of 0.01; "
            "give fewer "
            "warm-up steps\n");
  EXPECT_EQ(train({{"--steps", "4"}, {"--warmup-steps", "4"}}).err, "");
  EXPECT_EQ(train({{"--steps", "4"}}).err, "");
}

/// Returns the flags that --help lists.
Arguments flags_in(const std::string& help) {
  Arguments flags;
  for (const std::string& line : lines_of(help)) {
    const size_t begin = line.find_first_not_of(' ');
    if (begin != std::string::npos && begin > 0 && line.compare(begin, 2, "--") == 0) {
      flags.push_back(line.substr(begin, line.find_first_of(" ,=", begin) - begin));
    }
  }
  return flags;
}

TEST_F(FlagsCliTest, HelpListsFlagsThatExistInBothSpellings) {
  for (const char* program : {HIPGPT_TRAIN_GPT, HIPGPT_GENERATE}) {
    const Result help = run(program, {"--help"});
    EXPECT_TRUE(succeeds(help));
    EXPECT_EQ(help.err, "");
    const Arguments flags = flags_in(help.out);
    EXPECT_GT(flags.size(), 12u);
    // A known flag asks for its value; an unknown flag is reported as unexpected.
    const auto is_known = [&](const std::string& flag) {
      return run(program, {"--prompt=a", flag}).err.find(flag + " ") == std::string::npos;
    };
    EXPECT_FALSE(is_known("--no-such"));
    for (const std::string& flag : flags) {
      if (underscored(flag) == flag) continue;
      EXPECT_TRUE(is_known(flag)) << flag;
      EXPECT_TRUE(is_known(underscored(flag))) << flag;
    }
  }
}

TEST_F(FlagsCliTest, DevicesAreListed) {
  for (const char* program : {HIPGPT_TRAIN_GPT, HIPGPT_GENERATE}) {
    const Result list = run(program, {"--list-devices"});
    EXPECT_TRUE(succeeds(list));
    const auto lines = lines_of(list.out);
    EXPECT_GE(lines.size(), 2u);
    EXPECT_NE(list.out.find("cpu  "), std::string::npos) << list.out;
    EXPECT_NE(list.out.find("hip  "), std::string::npos) << list.out;
  }
  EXPECT_TRUE(snapshot().empty());
}

TEST_F(FlagsCliTest, OutputThatCannotBeWrittenIsAnError) {
  for (const char* program : {HIPGPT_TRAIN_GPT, HIPGPT_GENERATE}) {
    for (const char* flag : {"--help", "--version", "--list-devices"}) {
      for (const Stdout out : {Stdout::kFull, Stdout::kClosed}) {
        const Result result = run(program, {flag}, out);
        EXPECT_TRUE(refuses(result, "standard output")) << flag;
        EXPECT_EQ(result.status, 1);
      }
    }
  }
}

TEST_F(FlagsCliTest, VersionIsOneLineWithANumber) {
  for (const auto& [program, name] :
       {std::pair(HIPGPT_TRAIN_GPT, "train_gpt "), std::pair(HIPGPT_GENERATE, "generate ")}) {
    const Result version = run(program, {"--version"});
    EXPECT_TRUE(succeeds(version));
    EXPECT_TRUE(version.out.starts_with(name)) << version.out;
    EXPECT_EQ(lines_of(version.out).size(), 1u);
    EXPECT_NE(version.out.find_first_of("0123456789"), std::string::npos);
  }
}

// ---- --config

TEST_F(FlagsCliTest, AFileOfFlagsIsReadAndTheCommandLineWins) {
  write_text();
  write("run.cfg", "# sizes\nvocab-size = 300\nvocab_size_is = 0\n");
  EXPECT_TRUE(refuses(train_gpt({"--config", "run.cfg"}), "vocab_size_is"));
  write("run.cfg",
        "# sizes\nvocab-size = 300\ndim=16\nheads = 2\nlayers = 1\nff = 16\nseq = 8\n\nbatch = 4\n"
        "steps = 6\ndata_path = \"text.txt\"\nactivation = gelu\nhead-bias = false\nreset = true\n");
  const Result result = train_gpt({"--config", "run.cfg", "--steps", "3"});
  ASSERT_TRUE(succeeds(result));
  EXPECT_NE(result.out.find("step     3/3 "), std::string::npos) << result.out;
  const std::string by_file = read("gpt_checkpoint.bin");
  ASSERT_TRUE(
      succeeds(train({{"--steps", "3"}, {"--activation", "gelu"}, {"--head-bias", "false"}}, {"--reset"})));
  EXPECT_TRUE(read("gpt_checkpoint.bin") == by_file);
  // All paths count, wherever their lines are.
  write("run.cfg", "data-path = text.txt\nsteps = 1\ndata_path = missing.txt\n");
  EXPECT_REFUSED(train_gpt({"--config", "run.cfg"}), "missing.txt");
  // The last file counts.
  EXPECT_REFUSED(train_gpt({"--config", "text.txt", "--config", "run.cfg"}), "missing.txt");
}

TEST_F(FlagsCliTest, GenerateReadsAFileOfFlagsToo) {
  write_text();
  ASSERT_TRUE(succeeds(train()));
  write("generate.cfg", "prompt = \"the king, and\"\nnum_tokens = 5\ntop-k = 3\nseed = 4\n");
  const Result by_file = generate({"--config", "generate.cfg"});
  ASSERT_TRUE(succeeds(by_file));
  EXPECT_EQ(by_file.out,
            generate({"--prompt", "the king, and", "--num-tokens", "5", "--top-k", "3", "--seed", "4"}).out);
  const Result other = generate({"--config", "generate.cfg", "--prompt", "hills"});
  EXPECT_TRUE(other.out.starts_with("hills")) << other;
}

TEST_F(FlagsCliTest, RefusesAFileOfFlagsByItsNameAndWhatIsWrongInIt) {
  write_text();
  EXPECT_REFUSED(train({{"--config", "nowhere.cfg"}}), "nowhere.cfg");
  EXPECT_REFUSED(train({{"--config", "."}}), ".");
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"learning_rate = 1", "learning_rate"},
      {"lr = nan", "--lr"},
      {"lr =", "--lr"},
      {"lr = 1 2", "--lr: has 2 values; give one"},
      {"lr = 1\nlr = 2", "--lr"},
      {"lr = 1\ndim = 16\nlr = 2", "--lr"},
      {"min-lr = 1\ndim = 16\nmin_lr = 2", "--min"},
      {"reset = true\nlr = 1\nreset = false", "--reset"},
      {"steps", "--steps"},
      {"heads = 3", "--heads 3"},
      {"[run]\nlr = 1", "run"},
      {"activation = x", "--activation"},
      {"help = true", "help"},
      {"config = other", "config"}};
  for (const auto& [content, words] : cases) {
    write("run.cfg", content + "\n");
    Flags flags = small({{"--config", "run.cfg"}});
    for (const char* flag : {"--heads", "--steps"}) flags.erase(flag);  // on the command line they would win
    EXPECT_REFUSED(train_gpt(to_arguments(flags)), words);
  }
}

TEST_F(FlagsCliTest, AFileOfFlagsMayBeAPipe) {
  write_text();
  const std::string flags = "data-path=text.txt\nvocab-size=300\ndim=16\nheads=2\nseq=8\nsteps=5\n";
  write("run.cfg", flags);
  const auto by_pipe = [&](const char* program, const std::string& arguments) {
    return run("/bin/bash",
               {"-c", std::string("exec '") + program + "' --config <(cat run.cfg) " + arguments});
  };
  const Result trained = by_pipe(HIPGPT_TRAIN_GPT, "--ff 16");
  EXPECT_TRUE(succeeds(trained));
  EXPECT_NE(trained.out.find("step     5/5 "), std::string::npos) << trained.out;
  write("run.cfg", "prompt = hills\nseed = 4\n");
  const Result generated = by_pipe(HIPGPT_GENERATE, "--num-tokens 3");
  EXPECT_TRUE(generated.out.starts_with("hills")) << generated;
}

TEST_F(FlagsCliTest, AnUnknownFlagInAFileIsNamedWithTheFile) {
  write_text();
  write("run.cfg", "learning_rate = 1\n");
  EXPECT_REFUSED(train({{"--config", "run.cfg"}}), "run.cfg");
}

}  // namespace
}  // namespace hipgpt

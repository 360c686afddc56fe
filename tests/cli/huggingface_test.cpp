// Tests of Hugging Face models in both programs: starting from them, generating from them, and exporting to
// them.
#include "cli/checkpoint_editor.h"
#include "cli/program.h"

namespace hipgpt {
namespace {

const std::string kFixture = HIPGPT_TEST_DATA_DIR "/fixtures/gpt2_small";

class HuggingFaceCliTest : public CliTest {
 protected:
  HuggingFaceCliTest() { write_text(); }

  /// Returns the flags of a run whose model can be exported.
  static Flags gpt2_shaped(Flags changes = {}) {
    changes.merge(Flags{{"--final-layernorm", "true"}, {"--head-bias", "false"}, {"--activation", "gelu"}});
    return changes;
  }

  Result start_from(const std::string& folder, Flags flags = {}, const Arguments& more = {}) const {
    flags.merge(Flags{{"--init-from", folder},
                      {"--data-path", "text.txt"},
                      {"--batch", "4"},
                      {"--steps", "4"},
                      {"--threads", "1"}});
    Arguments arguments = to_arguments(flags);
    arguments.insert(arguments.end(), more.begin(), more.end());
    return train_gpt(arguments);
  }

  std::string greedy(const Flags& model) const {
    Flags flags = model;
    flags.merge(Flags{{"--prompt", "the king"}, {"--temp", "0"}, {"--threads", "1"}});
    const Result result = generate(to_arguments(flags));
    EXPECT_TRUE(succeeds(result));
    return result.out;
  }
};

TEST_F(HuggingFaceCliTest, GeneratesWhatTransformersDoes) {
  const Result result =
      generate({"--ckpt", kFixture, "--prompt", "The men", "--temp", "0", "--num-tokens", "8"});
  ASSERT_TRUE(succeeds(result));
  EXPECT_EQ(result.out, "The men\u0672I\uFFFDYIII\n");
}

TEST_F(HuggingFaceCliTest, AnExportGeneratesWhatItsCheckpointDoes) {
  for (const char* tied : {"true", "false"}) {
    const std::string run = std::string("tied_") + tied, folder = "out_" + run;
    ASSERT_TRUE(succeeds(train(gpt2_shaped({{"--tied-head", tied}, {"--run-name", run}}))));
    ASSERT_TRUE(succeeds(generate({"--run-name", run, "--export", folder})));
    EXPECT_EQ(greedy({{"--ckpt", folder}}), greedy({{"--run-name", run}}));
    ASSERT_TRUE(succeeds(generate({"--ckpt", folder, "--export", folder + "_again"})));
    for (const auto& entry : fs::directory_iterator(path(folder))) {
      const std::string name = entry.path().filename();
      if (name == "README.md") continue;  // tells where the model comes from
      EXPECT_EQ(read(folder + "/" + name), read(folder + "_again/" + name)) << name;
    }
  }
}

TEST_F(HuggingFaceCliTest, AnExportHasAModelCard) {
  fs::create_directory(path("secret"));
  write("secret/text.txt", read("text.txt"));
  ASSERT_TRUE(succeeds(train(gpt2_shaped({{"--run-name", "mine"}, {"--data-path", "secret/text.txt"}}))));
  const Result result = generate({"--run-name", "mine", "--export", "out"});
  ASSERT_TRUE(succeeds(result));
  EXPECT_NE(result.err.find("added <|endoftext|> as token "), std::string::npos) << result.err;
  const std::string card = read("out/README.md");
  for (const char* words : {"---\nlibrary_name: transformers\n", "\n# mine\n", "| validation loss | ",
                            "| text.txt |", "type: perplexity", "## Limits", "`license`",
                            "the export added\n  `<|endoftext|>`", "max_new_tokens=4,"}) {
    EXPECT_NE(card.find(words), std::string::npos) << words << card;
  }
  EXPECT_EQ(card.find("secret"), std::string::npos) << card;

  // A card that a user edited survives the next export.
  for (const auto& entry : fs::directory_iterator(path("out"))) {
    if (entry.path().filename() != "README.md") fs::remove(entry.path());
  }
  write("out/README.md", "edited");
  const Result again = generate({"--run-name", "mine", "--export", "out"});
  ASSERT_TRUE(succeeds(again));
  EXPECT_NE(again.err.find("kept the README.md of out"), std::string::npos) << again.err;
  EXPECT_EQ(read("out/README.md"), "edited");
}

TEST_F(HuggingFaceCliTest, TheTokenizersSettingsSurviveTraining) {
  fs::copy(kFixture, path("model"));
  write("model/tokenizer_config.json", R"({"chat_template": "{{ messages }}"})");
  ASSERT_TRUE(succeeds(start_from("model", {{"--run-name", "tuned"}})));
  ASSERT_TRUE(succeeds(start_from("model", {{"--run-name", "tuned"}, {"--steps", "6"}}, {"--resume"})));
  ASSERT_TRUE(succeeds(generate({"--run-name", "tuned", "--export", "out"})));
  EXPECT_NE(read("out/tokenizer_config.json").find(R"("chat_template": "{{ messages }}")"),
            std::string::npos);
  EXPECT_NE(read("out/README.md").find("trained the model in the folder model further"), std::string::npos);
}

TEST_F(HuggingFaceCliTest, ExportsTheStepThatWasAskedFor) {
  ASSERT_TRUE(succeeds(train(gpt2_shaped({{"--run-name", "a"}, {"--ckpt-every", "2"}}))));
  ASSERT_TRUE(succeeds(generate({"--run-name", "a", "--step", "2", "--export", "two"})));
  ASSERT_TRUE(succeeds(generate({"--run-name", "a", "--export", "four"})));
  ASSERT_TRUE(succeeds(generate({"--ckpt", "checkpoints/a/step_2.bin", "--tokenizer",
                                 "checkpoints/a/tokenizer.json", "--export", "two_again"})));
  EXPECT_NE(read("two/model.safetensors"), read("four/model.safetensors"));
  EXPECT_EQ(read("two/model.safetensors"), read("two_again/model.safetensors"));
}

TEST_F(HuggingFaceCliTest, TrainingStartsFromAModel) {
  ASSERT_TRUE(
      succeeds(start_from(kFixture, {{"--lr", "0.01"}, {"--warmup-steps", "0"}, {"--run-name", "tuned"}})));
  EXPECT_NE(greedy({{"--run-name", "tuned"}}), greedy({{"--ckpt", kFixture}}));

  // With a negligible learning rate the model stays the same.
  ASSERT_TRUE(succeeds(start_from(kFixture, {{"--lr", "1e-12"}, {"--run-name", "still"}})));
  EXPECT_EQ(greedy({{"--run-name", "still"}}), greedy({{"--ckpt", kFixture}}));
  // The run has the model's tokenizer and continues like any other run.
  ASSERT_TRUE(succeeds(generate({"--run-name", "still", "--export", "out"})));
  ASSERT_TRUE(succeeds(generate({"--ckpt", kFixture, "--export", "first"})));
  for (const char* name : {"tokenizer.json", "config.json", "vocab.json"})
    EXPECT_EQ(read(std::string("out/") + name), read(std::string("first/") + name)) << name;
  EXPECT_TRUE(succeeds(train_gpt({"--ckpt", "checkpoints/still/step_4.bin", "--run-name", "still",
                                  "--data-path", "text.txt", "--batch", "4", "--steps", "6"})));
}

TEST_F(HuggingFaceCliTest, ATrainedModelGetsALowerLearningRate) {
  const auto rate = [&](const Flags& flags) {
    EXPECT_TRUE(succeeds(start_from(kFixture, flags)));
    return nlohmann::json::parse(lines_of(read("metrics.jsonl")).front())["run"]["lr"].get<double>();
  };
  EXPECT_NEAR(rate({}), 5e-5, 1e-10);
  EXPECT_NEAR(rate({{"--lr", "0.001"}}), 1e-3, 1e-9);
}

TEST_F(HuggingFaceCliTest, ARunThatStartedFromAModelResumesExactly) {
  ASSERT_TRUE(succeeds(start_from(kFixture, {{"--run-name", "a"}, {"--steps", "6"}, {"--ckpt-every", "4"}})));
  const std::string whole = read("checkpoints/a/step_6.bin");
  ASSERT_TRUE(succeeds(train_gpt({"--ckpt", "checkpoints/a/step_4.bin", "--run-name", "b"})));
  EXPECT_EQ(read("checkpoints/b/step_6.bin"), whole);

  // The same command starts or resumes the run.
  for (const char* name : {"step_6.bin", "step_6.optimizer.bin", "latest.bin"})
    fs::remove(path("checkpoints/a") / name);
  fs::create_symlink("step_4.bin", path("checkpoints/a/latest.bin"));
  const Result again =
      start_from(kFixture, {{"--run-name", "a"}, {"--steps", "6"}, {"--ckpt-every", "4"}}, {"--resume"});
  ASSERT_TRUE(succeeds(again));
  EXPECT_NE(again.out.find("after step 4"), std::string::npos) << again;
  EXPECT_EQ(read("checkpoints/a/step_6.bin"), whole);
}

TEST_F(HuggingFaceCliTest, TheOldTokenizerStaysUntilTheFirstCheckpoint) {
  ASSERT_TRUE(succeeds(train()));
  const std::string old_tokenizer = read("tokenizer.json"), old_checkpoint = read("gpt_checkpoint.bin");
  fs::copy(kFixture, path("broken"));
  EditableCheckpoint weights(path("broken/model.safetensors"));
  weights.set_value("transformer.ln_f.weight", 0, 3e38f);
  weights.save(path("broken/model.safetensors"));
  EXPECT_NE(start_from("broken").err.find("No checkpoint was written or changed"), std::string::npos);
  EXPECT_EQ(read("tokenizer.json"), old_tokenizer);
  EXPECT_EQ(read("gpt_checkpoint.bin"), old_checkpoint);
  ASSERT_TRUE(succeeds(start_from(kFixture)));
  EXPECT_NE(read("tokenizer.json"), old_tokenizer);
  EXPECT_TRUE(succeeds(generate({"--prompt", "the king"})));
}

TEST_F(HuggingFaceCliTest, FlagsMayAgreeWithTheModelButNotContradictIt) {
  EXPECT_TRUE(succeeds(start_from(kFixture, {{"--seq", "16"},
                                             {"--dim", "24"},
                                             {"--vocab-size", "300"},
                                             {"--tied-head", "true"},
                                             {"--activation", "gelu"}})));
  for (const auto& [flag, value] : Flags{{"--dim", "48"},
                                         {"--preset", "gpt2"},
                                         {"--activation", "relu"},
                                         {"--tied-head", "false"},
                                         {"--vocab-size", "400"},
                                         {"--ckpt", "gpt_checkpoint.bin"}}) {
    EXPECT_REFUSED(start_from(kFixture, {{flag, value}}),
                   flag == "--ckpt" || flag == "--vocab-size" ? flag : "--dim");
  }
  EXPECT_REFUSED(train_gpt({"--init-from", kFixture, "--data-path", "text.txt", "--reset"}), "--reset");
}

TEST_F(HuggingFaceCliTest, AShorterContextIsThatOfTheFirstPositions) {
  ASSERT_TRUE(succeeds(start_from(kFixture, {{"--seq", "8"}, {"--lr", "1e-12"}, {"--run-name", "short"}})));
  const auto model = EditableCheckpoint(path("checkpoints/short/step_4.bin"));
  EXPECT_EQ(model.metadata.at("max_seq_len"), "8");
  const Flags few = {{"--prompt", "T"}, {"--num-tokens", "3"}};
  const auto with = [](Flags flags, const std::string& flag, const std::string& value) {
    flags[flag] = value;
    return flags;
  };
  EXPECT_EQ(greedy(with(few, "--run-name", "short")), greedy(with(few, "--ckpt", kFixture)));
  EXPECT_REFUSED(start_from(kFixture, {{"--seq", "17"}}), "--seq 17: " + kFixture + " has 16 positions");
  EXPECT_REFUSED(train_gpt({"--ckpt", "checkpoints/short/step_4.bin", "--data-path", "text.txt", "--seq", "4",
                            "--batch", "4", "--steps", "6"}),
                 "--seq 4: checkpoints/short/step_4.bin has 8 positions");
}

/// A folder whose greedy text is cut at the tokens that it names, and the run that starts from it.
TEST_F(HuggingFaceCliTest, TextEndsWhereTheModelSays) {
  fs::copy(kFixture, path("model"));
  fs::remove(path("model/generation_config.json"));
  const auto tokens = [&](const Flags& flags) {
    Flags all = flags;
    all.merge(Flags{{"--prompt", "The men"}, {"--temp", "0"}, {"--num-tokens", "4"}, {"--threads", "1"}});
    Arguments arguments = to_arguments(all);
    arguments.emplace_back("--json");
    const Result result = generate(arguments);
    EXPECT_TRUE(succeeds(result));
    const auto json = nlohmann::json::parse(result.out);
    return std::pair(json["tokens"].get<std::vector<int>>(), json["finish_reason"].get<std::string>());
  };
  const std::vector<int> all = tokens({{"--ckpt", "model"}}).first;
  ASSERT_EQ(all.size(), 4u);
  const auto stopped = std::pair(std::vector<int>(all.begin(), all.begin() + 2), std::string("stop"));
  auto config = nlohmann::json::parse(read("model/config.json"));
  config["eos_token_id"] = {0, all[1]};
  write("model/config.json", config.dump());
  EXPECT_EQ(tokens({{"--ckpt", "model"}}), stopped);
  EXPECT_EQ(tokens({{"--ckpt", "model"}, {"--eos-id", "0"}}).first, all);
  write("model/generation_config.json", "{\"eos_token_id\": " + std::to_string(all[1]) + "}");
  EXPECT_EQ(tokens({{"--ckpt", "model"}}), stopped);

  ASSERT_TRUE(succeeds(start_from("model", {{"--lr", "1e-12"}, {"--run-name", "a"}})));
  EXPECT_EQ(tokens({{"--run-name", "a"}}), stopped);
  ASSERT_TRUE(succeeds(
      train_gpt({"--ckpt", "checkpoints/a/step_4.bin", "--run-name", "b", "--steps", "5", "--lr", "1e-12"})));
  EXPECT_EQ(tokens({{"--run-name", "b"}}), stopped);
  ASSERT_TRUE(succeeds(generate({"--run-name", "b", "--export", "out"})));
  EXPECT_EQ(tokens({{"--ckpt", "out"}}), stopped);
}

TEST_F(HuggingFaceCliTest, NamesThatAreNotFoldersAreExplained) {
  for (const char* name : {"openai-community/gpt2", "gpt2"}) {
    for (const Result& result : {generate({"--ckpt", name, "--prompt", "a"}), start_from(name)}) {
      EXPECT_REFUSED(result, "models are not downloaded");
      EXPECT_REFUSED(result, "save_pretrained()");
    }
  }
  EXPECT_REFUSED(generate({"--ckpt", kFixture + "/model.safetensors", "--prompt", "a"}),
                 "name the folder " + kFixture + " instead");
  EXPECT_REFUSED(generate({"--ckpt", kFixture + "/config.json", "--prompt", "a"}),
                 "name the folder of the model");
  write("pytorch_model.bin", "PK\3\4 and more");
  write("old.pt", "\x80\2\x8a\nl\xfc\x9c\x46\xf9 and more");
  for (const char* name : {"pytorch_model.bin", "old.pt"}) {
    EXPECT_REFUSED(generate({"--ckpt", name, "--prompt", "a"}),
                   std::string(name) + ": is a file of PyTorch's torch.save(); save_pretrained()");
  }
  write("model.gguf", "GGUF\3 and more");
  EXPECT_REFUSED(generate({"--ckpt", "model.gguf", "--prompt", "a"}), "name the folder it was made from");
  EXPECT_REFUSED(train_gpt({"--ckpt", kFixture, "--data-path", "text.txt"}), "--init-from");
}

TEST_F(HuggingFaceCliTest, AModelOfAnotherShapeIsNotExported) {
  ASSERT_TRUE(succeeds(train()));
  EXPECT_REFUSED(generate({"--export", "out"}), "--final-layernorm true --head-bias false");
}

TEST_F(HuggingFaceCliTest, ExportsThatAreRefused) {
  ASSERT_TRUE(succeeds(train(gpt2_shaped())));
  ASSERT_TRUE(succeeds(generate({"--export", "out"})));
  EXPECT_REFUSED(generate({"--export", "out"}), "out: already contains model.safetensors");
  EXPECT_REFUSED(generate({"--export", "text.txt"}), "text.txt");
  EXPECT_REFUSED(generate({"--export", ""}), "--export");
  EXPECT_REFUSED(generate({"--export", "new", "--prompt", "a"}), "--prompt");
  EXPECT_REFUSED(generate({"--export", "new", "--ckpt", "missing.bin"}), "missing.bin");
  EXPECT_REFUSED(generate({}), "--export");
}

TEST_F(HuggingFaceCliTest, FoldersThatAreNotModelsAreRefused) {
  fs::create_directory(path("empty"));
  for (const char* folder : {"missing", "empty", "text.txt"}) EXPECT_REFUSED(start_from(folder), folder);
  EXPECT_REFUSED(start_from(""), "--init-from");
  EXPECT_REFUSED(generate({"--ckpt", "empty", "--prompt", "a"}), "empty: has no config.json");

  fs::copy(kFixture, path("model"));
  fs::resize_file(path("model/model.safetensors"), 5000);
  EXPECT_REFUSED(start_from("model"), "model/model.safetensors");
  EXPECT_REFUSED(generate({"--ckpt", "model", "--prompt", "a"}), "model/model.safetensors");
}

}  // namespace
}  // namespace hipgpt

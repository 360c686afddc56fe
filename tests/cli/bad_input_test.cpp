// Tests of files that are missing, damaged, foreign or of another model; folders and disks that take no
// files; and standard output that nobody reads. Each is reported in one line, and no good file is changed.
#include <sys/mount.h>
#include <sys/stat.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "cli/checkpoint_editor.h"
#include "cli/program.h"
#include "device.h"

namespace hipgpt {
namespace {

/// A folder with a small trained model in it.
class BadInputCliTest : public CliTest {
 protected:
  BadInputCliTest() {
    write_text();
    if (!succeeds(train())) throw std::runtime_error("cannot train");
  }

  Result generate_text() const { return generate({"--prompt", "the king", "--threads", "1"}); }
  Result go_on(const std::string& checkpoint = "gpt_checkpoint.bin") const {
    return train({{"--ckpt", checkpoint}, {"--steps", "6"}});
  }

  /// Puts `bytes` in place of a file, lets both programs refuse them, and puts the file back.
  void expect_both_refuse(const std::string& name, const std::string& bytes, const std::string& words) {
    const std::string good = read(name);
    write(name, bytes);
    EXPECT_REFUSED(generate_text(), words);
    EXPECT_REFUSED(go_on(), words);
    write(name, good);
  }

  /// The same for a checkpoint. Both programs open it with the same code, so generate stands for both.
  void expect_refused(const EditableCheckpoint& checkpoint, const std::string& words) {
    checkpoint.save(path("gpt_checkpoint.bin"));
    EXPECT_REFUSED(generate_text(), words);
  }
};

std::vector<std::string> damaged(const std::string& good) {
  return {"",
          "\n",
          "hello",
          good.substr(0, 7),
          good.substr(0, good.size() / 2),
          good.substr(0, good.size() - 1),
          good + "xyz",
          std::string(good.size(), '\0'),
          "\x7f"
          "ELF" +
              good};
}

// ---- Text

TEST_F(BadInputCliTest, TextThatCannotBeReadIsRefused) {
  fs::create_directory(path("folder"));
  write("empty.txt", "");
  ::mkfifo(path("pipe").c_str(), 0600);
  for (const char* name :
       {"missing.txt", "folder", "empty.txt", "pipe", "/dev/null", "text.txt/text.txt", ""}) {
    EXPECT_REFUSED(train({{"--data-path", name}}), name);
  }
}

TEST_F(BadInputCliTest, TextWithoutPermissionIsRefused) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  fs::permissions(path("text.txt"), fs::perms::none);
  EXPECT_TRUE(refuses(train(), "text.txt"));
}

TEST_F(BadInputCliTest, AMissingTextNamesTheFlag) {
  EXPECT_REFUSED(train_gpt({}), "--data-path");
  EXPECT_REFUSED(train({{"--data-path", ""}}), "--data-path");
}

TEST_F(BadInputCliTest, ATextThatIsTooShortChangesNothing) {
  write("short.txt", "too short");
  EXPECT_REFUSED(train({{"--data-path", "short.txt"}, {"--seq", "16"}}), "--seq");
  write("short.txt", "long enough to train on, and too short to keep a part");
  EXPECT_REFUSED(train({{"--data-path", "short.txt"}, {"--val-fraction", "0.02"}}), "--val-fraction");
}

TEST_F(BadInputCliTest, AModelThatDoesNotFitChangesNothing) {
  EXPECT_REFUSED(train({{"--vocab-size", "290"}, {"--dim", "65536"}, {"--layers", "1024"}}), "memory");
}

TEST_F(BadInputCliTest, ABatchThatDoesNotFitIsRefusedWithTheNumbers) {
  const Result result = train({{"--batch", "1048576"}, {"--dim", "4096"}, {"--device", "cpu"}});
  EXPECT_REFUSED(result, "--batch");
  EXPECT_NE(result.err.find("are free: make --batch smaller, or give --recompute"), std::string::npos)
      << result.err;
}

TEST_F(BadInputCliTest, AVocabularyWithoutRoomForTheSpecialTokenNamesTheFlag) {
  write("documents.txt", "one<|endoftext|>" + sample_text());
  EXPECT_REFUSED(train({{"--data-path", "documents.txt"}, {"--vocab-size", "256"}}), "--vocab-size");
}

// ---- tokenizer.json

TEST_F(BadInputCliTest, ADamagedTokenizerIsRefused) {
  const std::string good = read("tokenizer.json");
  for (const std::string& bytes : damaged(good)) {
    if (bytes.size() + 1 == good.size()) continue;  // only its last line feed is missing
    expect_both_refuse("tokenizer.json", bytes, "tokenizer.json");
  }
}

TEST_F(BadInputCliTest, AForeignTokenizerIsRefused) {
  using Json = nlohmann::json;
  const Json good = Json::parse(read("tokenizer.json"));
  const auto with = [&](const char* pointer, const Json& value) {
    Json changed = good;
    changed[Json::json_pointer(pointer)] = value;
    return changed.dump();
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"[]", "tokenizer.json"},
      {"{}", "version"},
      {with("/version", "2.0"), "version"},
      {with("/model/type", "Unigram"), "BPE"},
      {with("/normalizer", {{"type", "NFD"}}), "normalizer"},
      {with("/model/vocab/a", 4000000000u), "tokenizer.json"},
      {with("/model/vocab/a", -1), "tokenizer.json"},
      {with("/model/vocab", Json::object()), "tokenizer.json"},
      {with("/model/merges", {"no such merge"}), "merge"}};
  for (const auto& [bytes, words] : cases) expect_both_refuse("tokenizer.json", bytes, words);
}

TEST_F(BadInputCliTest, ATokenizerThatIsAFolderOrMissingIsRefused) {
  fs::remove(path("tokenizer.json"));
  EXPECT_REFUSED(generate_text(), "tokenizer.json");
  fs::create_directory(path("tokenizer.json"));
  EXPECT_REFUSED(generate_text(), "tokenizer.json");
  EXPECT_REFUSED(go_on(), "tokenizer.json");
}

TEST_F(BadInputCliTest, ACheckpointOfAnotherTokenizerIsRefused) {
  fs::rename(path("gpt_checkpoint.bin"), path("other.bin"));
  fs::rename(path("gpt_checkpoint.optimizer.bin"), path("other.optimizer.bin"));
  ASSERT_TRUE(succeeds(train({{"--vocab-size", "290"}})));
  EXPECT_REFUSED(generate({"--prompt", "a", "--ckpt", "other.bin"}), "tokenizer");
  EXPECT_REFUSED(train_gpt({"--data-path", "text.txt", "--ckpt", "other.bin", "--steps", "6"}), "tokenizer");
  // The text changes as well: a refused run must not write its tokens.
  write("other.txt", sample_text(900, 5));
  EXPECT_REFUSED(train_gpt({"--data-path", "other.txt", "--ckpt", "other.bin", "--steps", "6"}), "tokenizer");
}

// ---- The checkpoint

TEST_F(BadInputCliTest, ADamagedCheckpointIsRefused) {
  const std::string good = read("gpt_checkpoint.bin");
  for (const std::string& bytes : damaged(good))
    expect_both_refuse("gpt_checkpoint.bin", bytes, "gpt_checkpoint.bin");
  for (size_t i = 0; i < 12; ++i) {
    std::string flipped = good;
    flipped[i * (good.size() - 1) / 11] ^= 4;
    expect_both_refuse("gpt_checkpoint.bin", flipped, "gpt_checkpoint.bin");
  }
}

TEST_F(BadInputCliTest, ADeviceThatDoesNotExistIsRefused) {
  EXPECT_REFUSED(generate({"--prompt", "a", "--device", "abacus"}), "--device: abacus");
  EXPECT_REFUSED(train({{"--device", "abacus"}}), "--device: abacus");
}

TEST_F(BadInputCliTest, AMissingGpuIsRefusedInOneLine) {
  for (const DeviceInfo& info : list_devices()) {
    if (info.name.starts_with("hip:") && info.usable) GTEST_SKIP() << "there is a GPU: " << info.description;
  }
  EXPECT_REFUSED(generate({"--prompt", "a", "--device", "hip"}), "--device hip");
  EXPECT_REFUSED(train({{"--device", "hip"}}), "--device hip");
}

TEST_F(BadInputCliTest, FilesOfOtherKindsAreNotCheckpoints) {
  for (const char* name :
       {"tokenizer.json", "tokens.bin", "text.txt", "metrics.jsonl", "gpt_checkpoint.optimizer.bin", ".",
        "missing.bin", "missing/missing.bin", "/dev/null"}) {
    EXPECT_REFUSED(generate({"--prompt", "a", "--ckpt", name, "--tokenizer", "tokenizer.json"}), name);
    EXPECT_REFUSED(go_on(name), name);
  }
}

TEST_F(BadInputCliTest, ACheckpointWithoutChecksumsIsGood) {
  // If it were refused, the other tests of edited checkpoints would pass for the wrong reason.
  EditableCheckpoint(path("gpt_checkpoint.bin")).save(path("gpt_checkpoint.bin"));
  EXPECT_TRUE(succeeds(generate_text()));
  EXPECT_TRUE(succeeds(go_on()));
}

TEST_F(BadInputCliTest, EveryFieldOfACheckpointIsNeeded) {
  const EditableCheckpoint good(path("gpt_checkpoint.bin"));
  size_t fields = 0;
  for (const auto& [key, value] : good.metadata) {
    if (key == "format") continue;  // only other programs read it
    ++fields;
    EditableCheckpoint edited = good;
    edited.metadata.erase(key);
    expect_refused(edited, "'" + key + "'");
    for (const char* bad : {"", "1x", "99999999999999999999"}) {
      edited.metadata[key] = bad;
      expect_refused(edited, "gpt_checkpoint.bin");
    }
  }
  EXPECT_EQ(fields, 13u);
}

TEST_F(BadInputCliTest, FieldsThatContradictTheTensorsAreRefused) {
  const EditableCheckpoint good(path("gpt_checkpoint.bin"));
  const std::vector<std::pair<std::string, std::string>> cases = {{"vocab_size", "301"},
                                                                  {"vocab_size", "0"},
                                                                  {"max_seq_len", "9"},
                                                                  {"max_seq_len", "-8"},
                                                                  {"embed_dim", "32"},
                                                                  {"embed_dim", "0"},
                                                                  {"num_heads", "3"},
                                                                  {"num_heads", "0"},
                                                                  {"num_layers", "2"},
                                                                  {"num_layers", "1024"},
                                                                  {"ff_hidden_dim", "17"},
                                                                  {"final_layernorm", "true"},
                                                                  {"tied_head", "true"},
                                                                  {"head_bias", "false"},
                                                                  {"step", "-1"},
                                                                  {"tokenizer_hash", "1"},
                                                                  {"vocab_size", "16777216"},
                                                                  {"embed_dim", "65536"},
                                                                  {"num_layers", "2147483647"},
                                                                  {"hipgpt_format", "checkpoint-2"},
                                                                  {"hipgpt_format", "optimizer-1"}};
  for (const auto& [key, value] : cases) {
    SCOPED_TRACE(key + " = " + value);
    EditableCheckpoint edited = good;
    edited.metadata[key] = value;
    expect_refused(edited, "gpt_checkpoint.bin");
  }
}

TEST_F(BadInputCliTest, AnotherFormatIsReportedAsSuch) {
  EditableCheckpoint edited(path("gpt_checkpoint.bin"));
  edited.metadata["hipgpt_format"] = "checkpoint-2";
  expect_refused(edited, "another version");
  EXPECT_REFUSED(go_on(), "another version");
}

TEST_F(BadInputCliTest, EveryTensorIsNeededInItsShapeAndFinite) {
  const EditableCheckpoint good(path("gpt_checkpoint.bin"));
  EXPECT_EQ(good.parts.size(), 16u);
  for (size_t i = 0; i < good.parts.size(); ++i) {
    const std::string& name = good.parts[i].name;
    EditableCheckpoint edited = good;
    edited.parts.erase(edited.parts.begin() + static_cast<ptrdiff_t>(i));
    expect_refused(edited, name);

    edited = good;
    edited.parts[i].shape.insert(edited.parts[i].shape.begin(), 1);
    expect_refused(edited, name);

    edited = good;
    edited.parts[i].dtype = "I32";
    expect_refused(edited, name);

    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      edited = good;
      edited.set_value(name, edited.parts[i].bytes.size() / sizeof(float) - 1, bad);
      expect_refused(edited, name);
    }
  }
}

TEST_F(BadInputCliTest, AnExtraTensorIsRefused) {
  EditableCheckpoint edited(path("gpt_checkpoint.bin"));
  edited.parts.push_back({"transformer.h.1.ln_1.weight", "F32", {16}, std::string(64, '\0')});
  expect_refused(edited, "gpt_checkpoint.bin");
}

TEST_F(BadInputCliTest, LogitsThatAreNotFiniteAreReported) {
  // The weights are finite but the logits overflow, so there is no most likely token and none to draw.
  EditableCheckpoint edited(path("gpt_checkpoint.bin"));
  for (const char* name : {"transformer.wte.weight", "lm_head.weight"}) {
    const size_t count = edited.part(name).bytes.size() / sizeof(float);
    for (size_t i = 0; i < count; ++i) edited.set_value(name, i, i % 3 == 0 ? 3e38f : -2e38f);
  }
  edited.save(path("gpt_checkpoint.bin"));
  for (const char* temperature : {"0", "1"}) {
    const Result result = generate({"--prompt", "the king", "--top-k", "0", "--temp", temperature});
    EXPECT_GT(result.status, 0) << result;
    EXPECT_TRUE(last_line(result.err).starts_with("generate: ")) << result;
  }
  EXPECT_TRUE(refuses(train({{"--ckpt", "gpt_checkpoint.bin"}, {"--steps", "6"}}), "step 5"));
}

// ---- The optimizer's file

TEST_F(BadInputCliTest, ADamagedOptimizerFileIsRefused) {
  const std::string name = "gpt_checkpoint.optimizer.bin", good = read(name);
  std::vector<std::string> files = damaged(good);
  files.push_back(read("gpt_checkpoint.bin"));
  files.push_back(good);
  files.back()[good.size() - 5] ^= 1;
  for (const std::string& bytes : files) {
    write(name, bytes);
    EXPECT_REFUSED(go_on(), name);
  }
}

TEST_F(BadInputCliTest, AnEditedOptimizerFileIsRefused) {
  const std::string name = "gpt_checkpoint.optimizer.bin";
  const EditableCheckpoint good(path(name));
  const auto expect_not_continued = [&](const EditableCheckpoint& edited, const std::string& words) {
    edited.save(path(name));
    EXPECT_REFUSED(go_on(), words);
  };
  for (const char* step : {"3", "-1", "x", ""}) {
    EditableCheckpoint edited = good;
    edited.metadata["step"] = step;
    expect_not_continued(edited, "step");
  }
  for (const char* key : {"step", "hipgpt_format"}) {
    EditableCheckpoint edited = good;
    edited.metadata.erase(key);
    expect_not_continued(edited, key);
  }
  EditableCheckpoint edited = good;
  edited.parts.pop_back();
  expect_not_continued(edited, good.parts.back().name);
  edited = good;
  edited.set_value(good.parts[3].name, 0, std::numeric_limits<float>::quiet_NaN());
  expect_not_continued(edited, good.parts[3].name);
  good.save(path(name));
  EXPECT_TRUE(succeeds(go_on()));
}

TEST_F(BadInputCliTest, AnOptimizerFileOfAnotherStepOrModelIsRefused) {
  const Flags flags = {{"--run-name", "a"}, {"--ckpt-every", "2"}};
  ASSERT_TRUE(succeeds(train(flags)));
  fs::copy_file(path("checkpoints/a/step_2.optimizer.bin"), path("gpt_checkpoint.optimizer.bin"),
                fs::copy_options::overwrite_existing);
  EXPECT_REFUSED(go_on(), "step 2");
  ASSERT_TRUE(succeeds(train({{"--run-name", "wider"}, {"--dim", "32"}})));
  fs::copy_file(path("checkpoints/wider/step_4.optimizer.bin"), path("gpt_checkpoint.optimizer.bin"),
                fs::copy_options::overwrite_existing);
  EXPECT_REFUSED(go_on(), "gpt_checkpoint.optimizer.bin");
}

// ---- A flipped bit in any file (files/damage_test.cpp tries thousands)

TEST_F(BadInputCliTest, AFlippedBitIsRefusedOrDoesNoHarm) {
  const std::string text = generate({"--prompt", "the king", "--temp", "0"}).out;
  const auto good = snapshot();
  std::mt19937 random(3);
  for (const std::string name :
       {"gpt_checkpoint.bin", "gpt_checkpoint.optimizer.bin", "tokenizer.json", "tokens.bin"}) {
    for (int i = 0; i < 8; ++i) {
      const size_t bit = random() % (8 * good.at(name).size());
      SCOPED_TRACE(name + ", bit " + std::to_string(bit));
      std::string bad = good.at(name);
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
      write(name, bad);
      if (name == "tokens.bin") {
        EXPECT_TRUE(succeeds(go_on()));  // rebuilds it
        EXPECT_TRUE(read(name) == good.at(name));
      } else if (name == "gpt_checkpoint.optimizer.bin") {
        EXPECT_REFUSED(go_on(), name);
      } else {
        const Result result = generate({"--prompt", "the king", "--temp", "0"});
        EXPECT_TRUE(refuses(result, name) || (name == "tokenizer.json" && result.out == text)) << result;
      }
      for (const auto& [file, bytes] : good) write(file, bytes);
    }
  }
  EXPECT_TRUE(succeeds(go_on()));
}

// ---- Flags that do not match the checkpoint

TEST_F(BadInputCliTest, ResumingNeedsMoreStepsAndTheSameSizes) {
  EXPECT_REFUSED(train({{"--ckpt", "gpt_checkpoint.bin"}, {"--steps", "4"}}), "--steps");
  for (const auto& [flag, value] : Flags{{"--dim", "32"},
                                         {"--layers", "2"},
                                         {"--ff", "32"},
                                         {"--seq", "4"},
                                         {"--heads", "4"},
                                         {"--activation", "gelu"},
                                         {"--tied-head", "true"}}) {
    EXPECT_REFUSED(train({{"--ckpt", "gpt_checkpoint.bin"}, {"--steps", "6"}, {flag, value}}),
                   "gpt_checkpoint.bin");
  }
}

TEST_F(BadInputCliTest, ResumingWithAnotherVocabularySizeIsRefused) {
  EXPECT_REFUSED(train({{"--ckpt", "gpt_checkpoint.bin"}, {"--steps", "6"}, {"--vocab-size", "290"}}),
                 "--vocab-size");
}

TEST_F(BadInputCliTest, ResumingInAnotherFolderWorksOrLeavesNothing) {
  // There is no tokenizer yet, and the default vocabulary is not the checkpoint's.
  const auto before = snapshot();
  const Result result = train_gpt(
      {"--data-path", "text.txt", "--ckpt", "gpt_checkpoint.bin", "--steps", "6", "--run-name", "b"});
  if (result.status != 0) {
    EXPECT_TRUE(refuses(result));
    EXPECT_TRUE(same_files(before, snapshot()));
  }
}

// ---- Where nothing can be written

TEST_F(BadInputCliTest, AFullDiskIsReportedAndTheOldFilesStay) {
  fs::create_directory(path("disk"));
  if (::mount("tmpfs", path("disk").c_str(), "tmpfs", 0, "size=600k") != 0)
    GTEST_SKIP() << "mounting is not permitted here";
  struct Unmount {
    std::string at;
    ~Unmount() { ::umount2(at.c_str(), MNT_DETACH); }
  } const unmount{path("disk")};
  const std::string text = sample_text();
  const fs::path outside = root_ / "text.txt";
  write_file(outside, text);
  folder_ = path("disk");
  const Flags flags = {{"--data-path", outside}};
  ASSERT_TRUE(succeeds(train(flags)));

  // First there is no space at all, then only enough for the small files.
  for (const size_t room : {size_t{0}, size_t{40} << 10}) {
    write("ballast", std::string(size_t{1} << 20, 'x'));
    fs::resize_file(path("ballast"),
                    fs::file_size(path("ballast")) - std::min<size_t>(room, fs::file_size(path("ballast"))));
    auto before = snapshot();
    Flags more = flags;
    more.insert({{"--ckpt", "gpt_checkpoint.bin"}, {"--steps", "6"}});
    EXPECT_TRUE(refuses(train(more)));
    auto after = snapshot();
    before.erase("metrics.jsonl");  // written as far as space allowed
    after.erase("metrics.jsonl");
    EXPECT_TRUE(same_files(before, after));
    EXPECT_TRUE(succeeds(generate_text()));
    fs::remove(path("ballast"));
  }
}

TEST_F(BadInputCliTest, AReadOnlyFolderIsRefused) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_TRUE(refuses(train({{"--vocab-size", "290"}})));
  EXPECT_TRUE(refuses(train({{"--run-name", "a"}}), "checkpoints"));
  EXPECT_TRUE(succeeds(generate_text()));
  fs::permissions(folder_, fs::perms::owner_all);
}

TEST_F(BadInputCliTest, AFileInPlaceOfTheRunsFolderIsRefused) {
  write("checkpoints", "a file");
  EXPECT_REFUSED(train({{"--run-name", "a"}}), "checkpoints");
  EXPECT_REFUSED(generate({"--prompt", "a", "--run-name", "a"}), "checkpoints");
}

TEST_F(BadInputCliTest, ACheckpointThatCannotBeWrittenIsReportedBeforeTraining) {
  fs::remove(path("gpt_checkpoint.bin"));
  fs::create_directory(path("gpt_checkpoint.bin"));
  const Result result = train();
  EXPECT_TRUE(refuses(result, "gpt_checkpoint.bin"));
  EXPECT_EQ(result.out.find("step "), std::string::npos) << result.out;
}

TEST_F(BadInputCliTest, MetricsThatCannotBeWrittenAreReported) {
  fs::remove(path("metrics.jsonl"));
  fs::create_directory(path("metrics.jsonl"));
  EXPECT_REFUSED(train(), "metrics.jsonl");
}

TEST_F(BadInputCliTest, ANamedRunThatIsRefusedLeavesNoFolder) {
  EXPECT_REFUSED(train({{"--run-name", "a"}, {"--data-path", "missing.txt"}}), "missing.txt");
  EXPECT_FALSE(exists("checkpoints"));
}

// ---- Standard output and error that lead nowhere

TEST_F(BadInputCliTest, OutputThatNobodyReadsEndsGenerateInOneLineOrBySigpipe) {
  for (const Stdout out : {Stdout::kClosed, Stdout::kFull, Stdout::kBrokenPipe, Stdout::kBrokenPipeIgnored}) {
    const Result result = generate({"--prompt", "the king", "--num-tokens", "2000"}, out);
    if (result.signal != 0) {
      EXPECT_EQ(result.signal, SIGPIPE) << result;
    } else {
      EXPECT_GT(result.status, 0) << result;
      EXPECT_TRUE(last_line(result.err).starts_with("generate: ")) << result;
      EXPECT_LE(lines_of(result.err).size(), 2u) << result;  // the first line is about the model
    }
  }
}

TEST_F(BadInputCliTest, TrainingWhoseOutputNobodyReadsDamagesNoFile) {
  ASSERT_TRUE(succeeds(train({{"--steps", "60"}, {"--log-every", "1"}}, {"--reset"})));
  const auto watched = snapshot();
  for (const Stdout out : {Stdout::kClosed, Stdout::kFull, Stdout::kBrokenPipe, Stdout::kBrokenPipeIgnored}) {
    SCOPED_TRACE(static_cast<int>(out));
    Arguments arguments = to_arguments(small({{"--steps", "60"}, {"--log-every", "1"}}));
    arguments.push_back("--reset");
    const Result result = train_gpt(arguments, out);
    EXPECT_EQ(result.status, 0) << result;
    EXPECT_LE(lines_of(result.err).size(), 1u) << result;
    for (const char* name :
         {"tokenizer.json", "tokens.bin", "gpt_checkpoint.bin", "gpt_checkpoint.optimizer.bin"}) {
      EXPECT_TRUE(read(name) == watched.at(name)) << name;
    }
    for (const std::string& line : lines_of(read("metrics.jsonl")))
      EXPECT_TRUE(nlohmann::json::accept(line)) << line;
  }
}

TEST_F(BadInputCliTest, WithoutStandardErrorTheTextIsStillPrinted) {
  const Arguments arguments = {"--prompt", "the king", "--seed", "1"};
  const Result usual = generate(arguments), closed = generate(arguments, Stdout::kFile, Stderr::kClosed);
  EXPECT_TRUE(succeeds(closed));
  EXPECT_EQ(closed.out, usual.out);
}

TEST_F(BadInputCliTest, WithoutStandardErrorAnErrorStillSetsTheExitStatus) {
  const auto before = snapshot();
  for (const Result& result :
       {train_gpt({"--nonsense"}, Stdout::kFile, Stderr::kClosed),
        train_gpt({"--data-path", "missing.txt"}, Stdout::kFile, Stderr::kClosed),
        generate({"--nonsense"}, Stdout::kFile, Stderr::kClosed),
        generate({"--prompt", "a", "--ckpt", "missing.bin"}, Stdout::kClosed, Stderr::kClosed)}) {
    EXPECT_EQ(result.signal, 0) << result;
    EXPECT_GT(result.status, 0) << result;
  }
  EXPECT_TRUE(same_files(before, snapshot()));
}

}  // namespace
}  // namespace hipgpt

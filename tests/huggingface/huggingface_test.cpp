// Tests of Hugging Face folders: one that transformers wrote, the other forms that such a folder can have,
// what HipGPT writes itself, and everything that must be refused.
#include "huggingface.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "checkpoint/float_values.h"
#include "files/test_files.h"
#include "generator.h"

namespace hipgpt {
namespace {

namespace fs = std::filesystem;

using nlohmann::json;

void write(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// A tensor with its own bytes, which a test can change and write again.
struct EditableTensor {
  std::string name, dtype;
  std::vector<uint64_t> shape;
  std::string bytes;
};
using EditableTensors = std::vector<EditableTensor>;

EditableTensors read_tensors(const std::string& path) {
  EditableTensors tensors;
  const SafetensorsFile file = SafetensorsFile::open(path);
  for (const SafetensorsTensor& t : file.tensors()) {
    tensors.push_back(
        {t.name, t.dtype, t.shape, {reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size()}});
  }
  return tensors;
}

void write_tensors(const std::string& path, const EditableTensors& tensors) {
  std::vector<SafetensorsTensor> all;
  for (const EditableTensor& t : tensors)
    all.push_back({t.name, t.dtype, t.shape, std::as_bytes(std::span(t.bytes))});
  write_safetensors(path, all, {});
}

EditableTensor& tensor(EditableTensors& tensors, const std::string& name) {
  return *std::ranges::find(tensors, name, &EditableTensor::name);
}

Tokenizer learn(const std::string& text, int vocab_size) {
  Tokenizer::TrainOptions options;
  options.vocab_size = vocab_size;
  return Tokenizer::train(text, options);
}

constexpr const char* kEmbedding = "transformer.wte.weight";

/// A copy of the fixture in its own folder.
class HuggingFaceTest : public FilesTest {
 protected:
  HuggingFaceTest()
      : model_(path("model")),
        expected_(SafetensorsFile::open(HIPGPT_TEST_DATA_DIR "/fixtures/gpt2_small.expected.safetensors")),
        device_(make_device("cpu", 1)) {
    fs::copy(HIPGPT_TEST_DATA_DIR "/fixtures/gpt2_small", model_);
  }

  std::string in_model(const std::string& name) const { return model_ + "/" + name; }

  void edit_json(const std::string& name, const std::function<void(json&)>& change) const {
    json document = json::parse(read_all(in_model(name)));
    change(document);
    write(in_model(name), document.dump());
  }
  void set_config(const std::string& key, const json& value) const {
    edit_json("config.json", [&](json& config) { config[key] = value; });
  }
  void edit_tensors(const std::function<void(EditableTensors&)>& change) const {
    auto tensors = read_tensors(in_model("model.safetensors"));
    change(tensors);
    fs::remove(in_model("model.safetensors"));
    write_tensors(in_model("model.safetensors"), tensors);
  }

  std::vector<float> weights_of(const std::string& folder) const {
    const HuggingFaceModel stored = HuggingFaceModel::open(folder);
    GPTModel model(*device_, stored.weights.config);
    stored.weights.load_into(model);
    std::vector<float> values(static_cast<size_t>(model.weights().size()));
    device_->copy_to_host(values.data(), model.weights().flat());
    return values;
  }

  void expect_same_model(const std::string& what) const {
    const HuggingFaceModel stored = HuggingFaceModel::open(model_);
    EXPECT_EQ(stored.weights.config, original_.weights.config) << what;
    EXPECT_EQ(stored.tokenizer.hash(), original_.tokenizer.hash()) << what;
    EXPECT_EQ(weights_of(model_), weights_of(HIPGPT_TEST_DATA_DIR "/fixtures/gpt2_small")) << what;
  }

  void expect_error(const std::string& words, const std::function<void()>& act) const {
    try {
      act();
      ADD_FAILURE() << "accepted; expected an error that says: " << words;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(folder_.string()), std::string::npos) << error.what();
    }
  }

  /// Expects the folder to be refused with `words` after `change`, then restores it.
  void expect_refused(const std::string& words, const std::function<void()>& change) const {
    fs::copy(model_, path("kept"));
    change();
    expect_error(words, [&] { HuggingFaceModel::open(model_); });
    fs::remove_all(model_);
    fs::rename(path("kept"), model_);
  }
  void expect_config_refused(const std::string& key, const json& value, const std::string& words) const {
    expect_refused(words, [&] { set_config(key, value); });
  }
  void expect_tensors_refused(const std::string& words,
                              const std::function<void(EditableTensors&)>& change) const {
    expect_refused(words, [&] { edit_tensors(change); });
  }

  std::map<std::string, std::string> files_in(const std::string& folder) const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(folder))
      files[entry.path().filename().string()] = read_all(entry.path().string());
    return files;
  }

  std::string model_;
  SafetensorsFile expected_;
  std::unique_ptr<Device> device_;
  HuggingFaceModel original_ = HuggingFaceModel::open(HIPGPT_TEST_DATA_DIR "/fixtures/gpt2_small");
};

TEST(FloatValuesTest, EveryF16AndBf16) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const auto bytes = std::as_bytes(std::span(&half, 1));
    float f16, bf16;
    read_floats({&f16, 1}, {"x", "F16", {1}, bytes});
    read_floats({&bf16, 1}, {"x", "BF16", {1}, bytes});

    const double sign = bits & 0x8000 ? -1.0 : 1.0;
    const auto value = [&](int fraction_bits, int bias) {
      const int exponent = static_cast<int>(bits & 0x7fff) >> fraction_bits;
      const double fraction = bits & ((1u << fraction_bits) - 1);
      const double scaled = std::ldexp(fraction, -fraction_bits);
      return sign *
             (exponent == 0 ? std::ldexp(scaled, 1 - bias) : std::ldexp(1.0 + scaled, exponent - bias));
    };
    const bool f16_finite = (bits & 0x7c00) != 0x7c00, bf16_finite = (bits & 0x7f80) != 0x7f80;
    ASSERT_EQ(std::isfinite(f16), f16_finite) << bits;
    ASSERT_EQ(std::isfinite(bf16), bf16_finite) << bits;
    ASSERT_TRUE(!f16_finite || f16 == value(10, 15)) << bits;
    ASSERT_TRUE(!bf16_finite || bf16 == value(7, 127)) << bits;
    ASSERT_EQ(std::signbit(f16), sign < 0) << bits;
  }
}

TEST(FloatValuesTest, AtAnyAddress) {
  const std::vector<float> values = {1.5f, -2.25f, 3e-9f};
  std::string bytes = "?" + std::string(reinterpret_cast<const char*>(values.data()), 12);
  std::vector<float> read(2);
  read_floats(read, {"x", "F32", {3}, std::as_bytes(std::span(bytes)).subspan(1)}, 1);
  EXPECT_EQ(read, std::vector<float>(values.begin() + 1, values.end()));
}

TEST_F(HuggingFaceTest, ReadsWhatTransformersWrote) {
  const ModelConfig wanted{.vocab_size = 300,
                           .max_seq_len = 16,
                           .embed_dim = 24,
                           .num_heads = 3,
                           .num_layers = 2,
                           .ff_hidden_dim = 40,
                           .activation = Activation::kGelu,
                           .final_layernorm = true,
                           .tied_head = true,
                           .head_bias = false};
  EXPECT_EQ(original_.weights.config, wanted);
  EXPECT_EQ(original_.tokenizer.special_token("<|endoftext|>"), 0);
}

TEST_F(HuggingFaceTest, ContinuesAsTransformersDoes) {
  const auto ints = [&](const char* name) {
    const auto bytes = expected_.tensor(name).bytes;
    std::vector<int32_t> values(bytes.size() / sizeof(int32_t));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  };
  const std::vector<int32_t> prompt = original_.tokenizer.encode(expected_.metadata().at("prompt"));
  EXPECT_EQ(prompt, ints("prompt"));
  GPTModel model(*device_, original_.weights.config);
  original_.weights.load_into(model);
  Generator generator(model, prompt, {.temperature = 0.0});
  while (generator.tokens().size() < ints("greedy").size()) generator.next();
  EXPECT_EQ(generator.tokens(), ints("greedy"));
}

// ---- Other forms of the same model

TEST_F(HuggingFaceTest, NamesAsOpenAiWroteThemAndMasksOfAttention) {
  edit_tensors([](EditableTensors& tensors) {
    for (EditableTensor& t : tensors) t.name = t.name.substr(std::string("transformer.").size());
    tensors.push_back({"h.0.attn.bias", "U8", {1, 1, 2, 2}, std::string(4, '\1')});
    tensors.push_back({"h.1.attn.masked_bias", "F32", {}, std::string(4, '\0')});
  });
  expect_same_model("without a prefix");
}

TEST_F(HuggingFaceTest, SeveralFiles) {
  EditableTensors tensors = read_tensors(in_model("model.safetensors"));
  fs::remove(in_model("model.safetensors"));
  const EditableTensors first(tensors.begin(), tensors.begin() + 7),
      second(tensors.begin() + 7, tensors.end());
  write_tensors(in_model("model-00001-of-00002.safetensors"), first);
  write_tensors(in_model("model-00002-of-00002.safetensors"), second);
  json map;
  for (const auto& t : first) map[t.name] = "model-00001-of-00002.safetensors";
  for (const auto& t : second) map[t.name] = "model-00002-of-00002.safetensors";
  const auto write_index = [&](const json& weight_map) {
    write(in_model("model.safetensors.index.json"),
          json{{"metadata", {}}, {"weight_map", weight_map}}.dump());
  };
  write_index(map);
  expect_same_model("in two files");

  for (const char* name : {"../model.safetensors", "/etc/passwd", "", "missing.safetensors"}) {
    expect_refused("index.json", [&] {
      map[tensors[0].name] = name;
      write_index(map);
    });
  }
  expect_refused("weight_map", [&] { write_index(json::array()); });
  expect_refused("weight_map", [&] { write_index(json::object()); });
  expect_refused("twice", [&] { write_tensors(in_model("model-00002-of-00002.safetensors"), tensors); });
}

TEST_F(HuggingFaceTest, WithoutAnInnerSizeItIsFourTimesTheWidth) {
  const auto expect_96 = [&] {
    expect_error("has shape [40], but its model needs [96]", [&] { HuggingFaceModel::open(model_); });
  };
  set_config("n_inner", nullptr);
  expect_96();
  edit_json("config.json", [](json& config) { config.erase("n_inner"); });
  expect_96();
}

TEST_F(HuggingFaceTest, AHeadIsTiedUnlessItDiffers) {
  const auto with_head = [&](bool tie, bool same) {
    set_config("tie_word_embeddings", tie);
    edit_tensors([&](EditableTensors& tensors) {
      std::erase_if(tensors, [](const auto& t) { return t.name == "lm_head.weight"; });
      EditableTensor head = tensor(tensors, kEmbedding);
      head.name = "lm_head.weight";
      if (!same) std::swap(head.bytes[0], head.bytes[4]);
      tensors.push_back(head);
    });
    return HuggingFaceModel::open(model_).weights.config.tied_head;
  };
  EXPECT_TRUE(with_head(true, true));
  EXPECT_FALSE(with_head(true, false));
  EXPECT_FALSE(with_head(false, true));
  EXPECT_FALSE(with_head(false, false));
  edit_tensors([](EditableTensors& tensors) { tensors.pop_back(); });
  expect_error("has no tensor lm_head.weight", [&] { HuggingFaceModel::open(model_); });
}

TEST_F(HuggingFaceTest, RowsWithoutTokensAreLeftOut) {
  set_config("vocab_size", 304);
  edit_tensors([](EditableTensors& tensors) {
    EditableTensor& embedding = tensor(tensors, kEmbedding);
    embedding.shape[0] = 304;
    embedding.bytes.append(4 * 24 * sizeof(float), '\x3f');
  });
  expect_same_model("padded");
  export_to_huggingface(path("out"), HuggingFaceModel::open(model_).weights, original_.tokenizer);
  EXPECT_EQ(weights_of(path("out")), weights_of(HIPGPT_TEST_DATA_DIR "/fixtures/gpt2_small"));
  EXPECT_EQ(json::parse(read_all(path("out/config.json")))["vocab_size"], 300);
}

TEST_F(HuggingFaceTest, HalfPrecision) {
  edit_tensors([](EditableTensors& tensors) {
    for (EditableTensor& t : tensors) {
      std::string upper;  // the upper half of an fp32 is a bf16
      for (size_t i = 0; i < t.bytes.size(); i += 4) upper += t.bytes.substr(i + 2, 2);
      t.dtype = "BF16";
      t.bytes = upper;
    }
  });
  auto wanted = weights_of(HIPGPT_TEST_DATA_DIR "/fixtures/gpt2_small");
  for (float& w : wanted) w = std::bit_cast<float>(std::bit_cast<uint32_t>(w) & 0xffff0000u);
  EXPECT_EQ(weights_of(model_), wanted);
  export_to_huggingface(path("out"), HuggingFaceModel::open(model_).weights, original_.tokenizer);
  EXPECT_EQ(weights_of(path("out")), wanted);
  EXPECT_EQ(read_tensors(path("out/model.safetensors"))[0].dtype, "F32");
}

TEST_F(HuggingFaceTest, TokenizerInTheTwoFilesOfGpt2) {
  const Tokenizer::Gpt2Files files = original_.tokenizer.to_gpt2_files().value();
  fs::remove(in_model("tokenizer.json"));
  write(in_model("vocab.json"), files.vocab);
  expect_error("merges.txt: no such file", [&] { HuggingFaceModel::open(model_); });
  write(in_model("merges.txt"), files.merges);
  expect_same_model("vocab.json and merges.txt");
}

/// The two files cannot say how texts are split, so an export of another vocabulary lacks them.
TEST_F(HuggingFaceTest, OnlyGpt2sVocabulariesHaveTheTwoFiles) {
  const auto with = [](std::string json, const std::string& from, const std::string& to) {
    return json.replace(json.find(from), from.size(), to);
  };
  const std::string good = read_all(in_model("tokenizer.json"));
  const std::string nfc = with(Tokenizer::from_json(good, "good").to_json(), "\"normalizer\": null",
                               R"("normalizer": {"type": "NFC"})");
  write(in_model("tokenizer.json"), nfc);
  const auto model = HuggingFaceModel::open(model_);
  export_to_huggingface(path("out"), model.weights, model.tokenizer);
  EXPECT_FALSE(fs::exists(path("out/vocab.json")));
  EXPECT_FALSE(fs::exists(path("out/merges.txt")));
  EXPECT_EQ(read_all(path("out/tokenizer.json")), model.tokenizer.to_json());
}

/// A model that was trained with <|begin_of_text|> before every text needs it.
TEST_F(HuggingFaceTest, ATemplateThatAddsTokensIsRefused) {
  auto document = nlohmann::json::parse(read_all(in_model("tokenizer.json")));
  document["post_processor"] = nlohmann::json::parse(
      R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "a"}}, {"Sequence": {"id": "A"}}]})");
  write(in_model("tokenizer.json"), document.dump());
  expect_error("adds tokens to every text", [&] { HuggingFaceModel::open(model_); });
}

TEST_F(HuggingFaceTest, AnotherTokenizer) {
  const auto small = learn("aaa", 257), large = learn(read_all(in_model("tokenizer.json")), 301);
  write(path("small.json"), small.to_json());
  write(path("large.json"), large.to_json());
  EXPECT_EQ(HuggingFaceModel::open(model_, path("small.json")).weights.config.vocab_size, 257);
  expect_error("large.json has 301 tokens", [&] { HuggingFaceModel::open(model_, path("large.json")); });
}

TEST_F(HuggingFaceTest, SettingsThatChangeNothingHere) {
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, json>>{{"architectures", nullptr},
                                                 {"architectures", {"GPT2Model"}},
                                                 {"activation_function", "gelu_pytorch_tanh"},
                                                 {"activation_function", "gelu_fast"},
                                                 {"attn_pdrop", 0.1},
                                                 {"n_ctx", 16},
                                                 {"pruned_heads", json::object()},
                                                 {"reorder_and_upcast_attn", true}}) {
    set_config(key, value);
    expect_same_model(key);
  }
  for (const auto& [name, activation] :
       std::vector<std::pair<std::string, Activation>>{{"relu", Activation::kRelu},
                                                       {"gelu", Activation::kGeluErf},
                                                       {"gelu_python", Activation::kGeluErf}}) {
    set_config("activation_function", name);
    EXPECT_EQ(HuggingFaceModel::open(model_).weights.config.activation, activation) << name;
  }
}

TEST_F(HuggingFaceTest, ATiedModelMayStoreOnlyItsHead) {
  edit_tensors([](EditableTensors& tensors) { tensor(tensors, kEmbedding).name = "lm_head.weight"; });
  expect_same_model("only a head");
  expect_config_refused("tie_word_embeddings", false, "has no tensor transformer.wte.weight");
}

TEST_F(HuggingFaceTest, RolesComeFromTheFirstFileThatNamesThem) {
  const auto expect_roles = [&](std::optional<int32_t> begin, std::optional<int32_t> pad,
                                const std::vector<int32_t>& end) {
    EXPECT_EQ(HuggingFaceModel::open(model_).weights.roles, (TokenRoles{begin, pad, end}));
  };
  for (const char* name : {"generation_config.json", "special_tokens_map.json"}) fs::remove(in_model(name));
  write(in_model("tokenizer_config.json"),
        R"({"pad_token": {"content": "<|endoftext|>"}, "bos_token": "no"})");
  edit_json("config.json", [](json& config) {
    config.erase("bos_token_id");
    config.erase("eos_token_id");
  });
  expect_roles({}, 0, {});
  set_config("eos_token_id", 50256);  // GPT-2's, in the file of a smaller model
  expect_roles({}, 0, {});
  set_config("eos_token_id", {-1, 7, 300, 299});
  set_config("pad_token_id", 2);
  expect_roles({}, 2, {7, 299});
  write(in_model("generation_config.json"),
        R"({"eos_token_id": 5, "bos_token_id": 6, "pad_token_id": null})");
  expect_roles(6, 2, {5});

  for (const json& bad : {json("7"), json(1.5), json(true), json::array({nullptr}), json::object()})
    expect_config_refused("eos_token_id", bad, "config.json: \"eos_token_id\" is ");
  expect_refused("generation_config.json", [&] { write(in_model("generation_config.json"), "{"); });
}

TEST_F(HuggingFaceTest, AnExportKeepsTheRolesOfTokens) {
  edit_json("tokenizer.json", [](json& tokenizer) {
    for (const auto& [id, text] : {std::pair{300, "<|start|>"}, {301, "[PAD]"}, {302, "<|user|>"}}) {
      json token = tokenizer["added_tokens"][0];
      token.update({{"id", id}, {"content", text}, {"special", id != 302}});
      tokenizer["added_tokens"].push_back(token);
    }
  });
  edit_tensors([](EditableTensors& tensors) {
    EditableTensor& embedding = tensor(tensors, kEmbedding);
    embedding.shape[0] = 303;
    embedding.bytes.append(3 * 24 * sizeof(float), '\x3f');
  });
  set_config("vocab_size", 303);
  fs::remove(in_model("generation_config.json"));
  set_config("bos_token_id", 300);
  set_config("pad_token_id", 302);
  set_config("eos_token_id", {40, 0});
  const HuggingFaceModel model = HuggingFaceModel::open(model_);
  export_to_huggingface(path("out"), model.weights, model.tokenizer);
  EXPECT_EQ(HuggingFaceModel::open(path("out")).weights.roles, model.weights.roles);
  for (const char* name : {"out/config.json", "out/generation_config.json"}) {
    const json config = json::parse(read_all(path(name)));
    EXPECT_EQ(config["bos_token_id"], 300) << name;
    EXPECT_EQ(config["pad_token_id"], 302) << name;
    EXPECT_EQ(config["eos_token_id"], json({40, 0})) << name;
  }
  const json settings = json::parse(read_all(path("out/tokenizer_config.json")));
  EXPECT_EQ(settings["bos_token"], "<|start|>");
  // 40 is a token of words, and 302 is not special; transformers would make both special.
  EXPECT_FALSE(settings.contains("eos_token"));
  EXPECT_FALSE(settings.contains("pad_token"));
  const json added = json::parse(read_all(path("out/tokenizer.json")))["added_tokens"];
  EXPECT_EQ(added[2]["special"], true);
  EXPECT_EQ(added[3]["special"], false);
}

// ---- Refusals

TEST_F(HuggingFaceTest, ConfigsThatCannotBeHonoured) {
  expect_config_refused("model_type", "llama", "\"llama\": HipGPT reads \"gpt2\"");
  expect_config_refused("model_type", nullptr, "model_type");
  expect_config_refused("architectures", {"GPT2ForSequenceClassification"}, "GPT2LMHeadModel");
  expect_config_refused("activation_function", "quick_gelu", "gelu_new");
  expect_config_refused("activation_function", 3, "activation_function");
  expect_config_refused("scale_attn_by_inverse_layer_idx", true, "should be false");
  expect_config_refused("scale_attn_weights", false, "should be true");
  expect_config_refused("layer_norm_epsilon", 1e-6, "should be 1e-05");
  expect_config_refused("add_cross_attention", true, "should be false");
  expect_config_refused("is_encoder_decoder", true, "should be false");
  expect_config_refused("pruned_heads", {{"0", {1}}}, "pruned_heads");
  expect_config_refused("quantization_config", {{"bits", 4}}, "quantization_config");
  expect_config_refused("tie_word_embeddings", "yes", "true or false");
  for (const char* size : {"vocab_size", "n_positions", "n_embd", "n_head", "n_layer", "n_inner"}) {
    for (const json& bad : {json(0), json(-1), json(1.5), json("24"), json(1u << 25), json::array()})
      expect_config_refused(size, bad, size);
    if (std::string(size) == "n_inner") continue;
    expect_refused(std::string(size) + "\" is missing",
                   [&] { edit_json("config.json", [&](json& config) { config.erase(size); }); });
  }
  expect_config_refused("n_head", 5, "config.json: \"n_embd\" 24 is not divisible by \"n_head\" 5");
  expect_config_refused("n_embd", 1 << 20, "\"n_embd\" 1048576: E must be from 1 to 65536");
}

TEST_F(HuggingFaceTest, ConfigsThatDoNotFitTheWeights) {
  expect_config_refused("n_positions", 17,
                        "transformer.wpe.weight has shape [16,24], but its model needs [17,24]");
  expect_config_refused("n_layer", 1, "transformer.h.1.");
  expect_config_refused("n_layer", 3, "has no tensor transformer.h.2.");
  expect_config_refused("vocab_size", 301, "has shape");
  expect_config_refused("vocab_size", 299, "its tokenizer has 300 tokens");
}

TEST_F(HuggingFaceTest, TensorsThatAreWrong) {
  expect_tensors_refused("has no tensor transformer.wte.weight",
                         [](auto& t) { std::erase_if(t, [](auto& x) { return x.name == kEmbedding; }); });
  expect_tensors_refused("score.weight", [](auto& t) { t.push_back({"score.weight", "F32", {1}, "1234"}); });
  expect_tensors_refused("lm_head.bias", [](auto& t) { t.push_back({"lm_head.bias", "F32", {1}, "1234"}); });
  expect_tensors_refused("not finite, at element 7", [](auto& t) {
    const float nan = std::nanf("");
    std::memcpy(tensor(t, kEmbedding).bytes.data() + 7 * sizeof(nan), &nan, sizeof(nan));
  });
  expect_tensors_refused("is I32, not F32, F16 or BF16",
                         [](auto& t) { tensor(t, kEmbedding).dtype = "I32"; });
  expect_tensors_refused("has shape [24,300]", [](auto& t) { tensor(t, kEmbedding).shape = {24, 300}; });
  expect_tensors_refused("has shape [7200]", [](auto& t) { tensor(t, kEmbedding).shape = {7200}; });
  expect_tensors_refused("twice", [](auto& t) {
    t.push_back(tensor(t, kEmbedding));
    t.back().name = "wte.weight";
  });
}

TEST_F(HuggingFaceTest, FilesThatAreMissingOrDamaged) {
  expect_refused("there is no such folder", [&] { fs::remove_all(model_); });
  expect_refused("there is no such folder", [&] {
    fs::remove_all(model_);
    write(model_, "a file");
  });
  expect_refused("has no config.json", [&] { fs::remove(in_model("config.json")); });
  expect_refused("tokenizer.json", [&] { fs::remove(in_model("tokenizer.json")); });
  expect_refused("has no model.safetensors", [&] { fs::remove(in_model("model.safetensors")); });
  expect_refused("save_pretrained",
                 [&] { fs::rename(in_model("model.safetensors"), in_model("pytorch_model.bin")); });
  for (const char* name : {"pytorch_model-00001-of-00002.bin", "tf_model.h5", "flax_model.msgpack"}) {
    expect_refused(std::string("converts its ") + name,
                   [&] { fs::rename(in_model("model.safetensors"), in_model(name)); });
  }
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 548105171\n";
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"})
    expect_refused(std::string(name) + ": is a Git LFS pointer", [&] { write(in_model(name), pointer); });
  expect_refused("merges.txt: is a Git LFS pointer", [&] {
    fs::remove(in_model("tokenizer.json"));
    write(in_model("vocab.json"), original_.tokenizer.to_gpt2_files().value().vocab);
    write(in_model("merges.txt"), pointer);
  });
  for (const char* name : {"config.json", "tokenizer.json", "model.safetensors"}) {
    const std::string good = read_all(in_model(name));
    for (const std::string& bad :
         {std::string(), std::string("["), std::string("[1]"), good.substr(0, good.size() / 2),
          good.substr(0, good.size() - 3), good + "}"}) {
      expect_refused(name, [&] { write(in_model(name), bad); });
    }
  }
  const std::string deep = "{\"model_type\": " + std::string(300000, '[') + std::string(300000, ']') + "}";
  expect_refused("nested deeper than 32 levels", [&] { write(in_model("config.json"), deep); });
  for (const char* key : {"add_prefix_space", "add_bos_token", "add_eos_token"}) {
    expect_refused(key, [&] { edit_json("tokenizer_config.json", [&](json& c) { c[key] = true; }); });
  }
}

// ---- Export

TEST_F(HuggingFaceTest, AnExportIsTheSameModelAndItsExportTheSameFiles) {
  export_to_huggingface(path("new/out"), original_.weights, original_.tokenizer);
  const HuggingFaceModel again = HuggingFaceModel::open(path("new/out"));
  EXPECT_EQ(again.weights.config, original_.weights.config);
  EXPECT_EQ(again.tokenizer.hash(), original_.tokenizer.hash());
  EXPECT_EQ(weights_of(path("new/out")), weights_of(model_));
  export_to_huggingface(path("second"), again.weights, again.tokenizer);
  EXPECT_EQ(files_in(path("second")), files_in(path("new/out")));
  EXPECT_EQ(files_in(path("second")).size(), 7u);
}

TEST_F(HuggingFaceTest, AnExportDescribesTheModel) {
  edit_tensors([](EditableTensors& tensors) {
    tensors.push_back(tensor(tensors, kEmbedding));
    tensors.back().name = "lm_head.weight";
  });
  set_config("tie_word_embeddings", false);
  set_config("activation_function", "relu");
  const HuggingFaceModel model = HuggingFaceModel::open(model_);
  export_to_huggingface(path("out"), model.weights, model.tokenizer);
  EXPECT_EQ(HuggingFaceModel::open(path("out")).weights.config, model.weights.config);
  const json config = json::parse(read_all(path("out/config.json")));
  EXPECT_EQ(config["tie_word_embeddings"], false);
  EXPECT_EQ(config["activation_function"], "relu");
  EXPECT_EQ(config["eos_token_id"], 0);
  EXPECT_EQ(json::parse(read_all(path("out/tokenizer_config.json")))["eos_token"], "<|endoftext|>");
}

/// lm-evaluation-harness and CTranslate2 stop at a model without a token that ends a text.
TEST_F(HuggingFaceTest, AnExportAddsAnEndOfText) {
  EXPECT_EQ(export_to_huggingface(path("has_one"), original_.weights, original_.tokenizer).added_end,
            std::nullopt);
  const auto without_end = learn("aaa", 257);
  StoredWeights cut = original_.weights;
  cut.config.vocab_size = 257;
  cut.roles = {};
  EXPECT_EQ(export_to_huggingface(path("out"), cut, without_end).added_end, 257);
  for (const char* name : {"out/config.json", "out/generation_config.json"}) {
    const json config = json::parse(read_all(path(name)));
    EXPECT_EQ(config["bos_token_id"], 257) << name;
    EXPECT_EQ(config["eos_token_id"], 257) << name;
  }
  EXPECT_EQ(json::parse(read_all(path("out/tokenizer_config.json")))["eos_token"], "<|endoftext|>");
  const HuggingFaceModel exported = HuggingFaceModel::open(path("out"));
  EXPECT_EQ(exported.weights.config.vocab_size, 258);
  EXPECT_EQ(exported.tokenizer.special_token(kEndOfText), 257);

  // The new row is the mean of the others, which stay as they are.
  std::vector<float> before(257 * 24), after(258 * 24);
  read_floats(before, original_.weights.tensors.at(kEmbedding));
  read_floats(after, exported.weights.tensors.at(kEmbedding));
  EXPECT_TRUE(std::equal(before.begin(), before.end(), after.begin()));
  for (size_t i = 0; i < 24; ++i) {
    double sum = 0.0;
    for (size_t row = 0; row < 257; ++row) sum += before[24 * row + i];
    EXPECT_FLOAT_EQ(after[257 * 24 + i], static_cast<float>(sum / 257)) << i;
  }
  EXPECT_EQ(export_to_huggingface(path("again"), exported.weights, exported.tokenizer).added_end,
            std::nullopt);
}

TEST_F(HuggingFaceTest, AnExportKeepsTheSettingsOfTheTokenizer) {
  edit_json("tokenizer_config.json", [](json& settings) {
    settings["chat_template"] = "{{ messages }}";
    settings["padding_side"] = "left";
    settings["split_special_tokens"] = false;
    settings["mask_token"] = {{"content", "<|endoftext|>"}};  // special: kept
    settings["sep_token"] = "the";                            // a word: transformers would make it special
    settings["additional_special_tokens"] = {"<|endoftext|>", "unknown"};
    settings["auto_map"] = {{"AutoTokenizer", "code.Tokenizer"}};
    settings["model_max_length"] = 5;
    settings["clean_up_tokenization_spaces"] = true;
    for (int i = 0; i < 20000; ++i) settings["unknown " + std::to_string(i)] = i;  // many take no longer each
  });
  const auto exported_settings = [&](const std::string& name) {
    const HuggingFaceModel model = HuggingFaceModel::open(model_);
    export_to_huggingface(path(name), model.weights, model.tokenizer);
    return json::parse(read_all(path(name + "/tokenizer_config.json")));
  };
  const json settings = exported_settings("out");
  EXPECT_EQ(settings["chat_template"], "{{ messages }}");
  EXPECT_EQ(settings["padding_side"], "left");
  EXPECT_EQ(settings["split_special_tokens"], false);
  EXPECT_EQ(settings["mask_token"]["content"], "<|endoftext|>");
  for (const char* left_out : {"sep_token", "additional_special_tokens", "auto_map"})
    EXPECT_FALSE(settings.contains(left_out)) << left_out;
  EXPECT_EQ(settings["model_max_length"], 16);
  EXPECT_EQ(settings["clean_up_tokenization_spaces"], true);
  EXPECT_EQ(settings["unknown 19999"], 19999);
  EXPECT_EQ(settings["tokenizer_class"], "PreTrainedTokenizerFast");
  write(in_model("chat_template.jinja"), "{{ newer }}");
  EXPECT_EQ(exported_settings("newer")["chat_template"], "{{ newer }}");
}

TEST_F(HuggingFaceTest, AnExportReplacesNothing) {
  fs::create_directory(path("out"));
  write(path("out/README.md"), "about");
  EXPECT_FALSE(export_to_huggingface(path("out"), original_.weights, original_.tokenizer, "card").wrote_card);
  EXPECT_EQ(read_all(path("out/README.md")), "about");
  EXPECT_TRUE(export_to_huggingface(path("new"), original_.weights, original_.tokenizer, "card").wrote_card);
  EXPECT_EQ(read_all(path("new/README.md")), "card");
  for (const char* name : {"model.safetensors", "config.json", "tokenizer.json", "pytorch_model.bin"}) {
    fs::create_directory(path(std::string("has_") + name));
    write(path(std::string("has_") + name) + "/" + name, "old");
    expect_error(std::string("already contains ") + name, [&] {
      export_to_huggingface(path(std::string("has_") + name), original_.weights, original_.tokenizer);
    });
    EXPECT_EQ(files_in(path(std::string("has_") + name)),
              (std::map<std::string, std::string>{{name, "old"}}));
  }
  write(path("file"), "old");
  for (const char* name : {"file", "file/below"}) {
    expect_error(name, [&] { export_to_huggingface(path(name), original_.weights, original_.tokenizer); });
  }
  EXPECT_EQ(read_all(path("file")), "old");
}

TEST_F(HuggingFaceTest, AnExportOfAnotherShapeNamesTheFlags) {
  StoredWeights other = original_.weights;
  other.path = path("other.bin");
  const auto expect_flags = [&](bool final_layernorm, bool head_bias, const std::string& flags) {
    other.config.final_layernorm = final_layernorm;
    other.config.head_bias = head_bias;
    expect_error(flags, [&] { export_to_huggingface(path("out"), other, original_.tokenizer); });
    EXPECT_FALSE(fs::exists(path("out")));
  };
  expect_flags(false, false, "trained with final_layernorm true can");
  expect_flags(true, true, "trained with head_bias false can");
  expect_flags(false, true, "trained with final_layernorm true head_bias false can");
}

}  // namespace
}  // namespace hipgpt

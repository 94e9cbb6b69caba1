"""Operators that a model may use, as data.

All of ai.onnx that compute, and what quantizing and ONNX Runtime's own optimiser write.
Left out on purpose: ImageDecoder (a decoder of hostile pictures inside the engine), StringNormalizer (opens the
system's locales), RegexFullMatch, operators of training, com.microsoft's searches (loops with graphs of their own),
tokenizers, and EPContext, which has a rule of its own because it carries native code.
"""

from __future__ import annotations

from protos.errors import Rejected

_ONNX = """
    Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization
    Bernoulli BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike
    CausalConvWithState Ceil Celu CenterCropPad Clip Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape
    Conv ConvInteger ConvTranspose Cos Cosh CumProd CumSum DFT DeformConv DepthToSpace DequantizeLinear Det Div Dropout
    DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu
    Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization
    HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity If InstanceNormalization IsInf IsNaN LRN LSTM
    LayerNormalization LeakyRelu Less LessOrEqual LinearAttention Log LogSoftmax Loop LpNormalization LpPool MatMul
    MatMulInteger Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul
    Multinomial Neg NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or PRelu Pad
    Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN RandomNormal RandomNormalLike RandomUniform
    RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RoiAlign RotaryEmbedding Round STFT Scan
    Scatter ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert
    SequenceLength SequenceMap Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth
    Split SplitToSequence Sqrt Squeeze StringConcat StringSplit Sub Sum SwiGLU Swish Tan Tanh TensorScatter
    TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor
"""
_TABLES = """
    ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer LabelEncoder
    LinearClassifier LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble
    TreeEnsembleClassifier TreeEnsembleRegressor ZipMap
"""
_MICROSOFT = """
    Attention BiasAdd BiasGelu BiasSoftmax BiasSplitGelu DequantizeLinear DynamicQuantizeLSTM DynamicQuantizeMatMul
    EmbedLayerNormalization FastGelu FusedConv FusedGemm FusedMatMul FusedMatMulActivation Gelu GemmFastGelu
    GridSample GroupNorm GroupQueryAttention Inverse MatMulInteger16 MatMulIntegerToFloat MatMulNBits MulInteger
    MultiHeadAttention NhwcConv NhwcFusedConv NhwcMaxPool Pad QAttention QEmbedLayerNormalization QGemm QLinearAdd
    QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul
    QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QuantizeLinear QuickGelu RelativePositionBias
    RotaryEmbedding SkipGroupNorm SkipLayerNormalization SkipSimplifiedLayerNormalization TransposeMatMul Trilu Unique
"""
_BLOCKED = "AveragePool Conv GlobalAveragePool GlobalMaxPool MaxPool ReorderInput ReorderOutput Upsample"

_BY_DOMAIN = {"": _ONNX, "ai.onnx.ml": _TABLES, "com.microsoft": _MICROSOFT, "com.microsoft.nchwc": _BLOCKED}
OPERATORS = frozenset((domain, name) for domain, names in _BY_DOMAIN.items() for name in names.split()) | {
    ("", "SimplifiedLayerNormalization"),  # ONNX Runtime's optimiser puts this one of its own into ai.onnx
}
FUNCTION_DOMAINS = frozenset({"pkg.onnxscript.torch_lib", "pkg.onnxscript.torch_lib.common"})  # PyTorch's exporter
NATIVE = "EPContext"  # native code of an execution provider, in any domain


def operators_in(text: str) -> frozenset[tuple[str, str]]:
    """Of `com.example:Op,ai.onnx:ImageDecoder`. Raises Rejected."""
    found = set()
    for each in filter(None, (part.strip() for part in text.split(","))):
        domain, _, name = each.rpartition(":")
        if not domain or not name:
            raise Rejected(f"{each!r} names no operator; say DOMAIN:OPERATOR, such as com.microsoft:CDist")
        found.add(("" if domain == "ai.onnx" else domain, name))
    return frozenset(found)

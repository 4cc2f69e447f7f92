"""What a read-only query may be made of. Anything not named here is refused, new sqlglot classes included.

Node and function classes are sqlglot's names. Left out on purpose, although they look harmless: everything that reads
files, the network, the environment, settings, variables, sequences or the catalog; everything that runs SQL held in a
string (``query``, ``query_table``, ``json_execute_serialized_sql``); everything that sleeps or logs; model calls.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ROOTS: Final = _words("Select Union Intersect Except Subquery Values Pivot Table")

WRITES: Final = _words(
    """Insert Update Delete Merge Create Drop Alter TruncateTable Copy Export Attach Detach Set Pragma Command Use
    Install Load LoadData Transaction Commit Rollback Into Lock Cache Uncache Grant Revoke Kill Comment Declare Execute
    ExecuteSql Returning Put Get"""
)

NODES: Final = _words(
    """Add Alias Aliases All Any AtTimeZone Between BitString BitwiseAnd BitwiseLeftShift BitwiseNot BitwiseOr
    BitwiseRightShift BitwiseXor Boolean Bracket ByteString CTE Column ColumnDef Comprehension Cube DPipe DataType
    DataTypeParam Distinct Div Dot EQ Escape Except ExtendsLeft ExtendsRight Fetch Filter From GT GTE Glob Group
    GroupingSets Having HavingMax HexString Identifier IgnoreNulls ILike In IntDiv Intersect Interval IntervalSpan Is
    JSONKeyValue JSONPath JSONPathKey JSONPathRecursive JSONPathRoot JSONPathSlice JSONPathSubscript JSONPathUnion
    JSONPathWildcard Join Kwarg LT LTE Lambda Lateral Like Limit LimitOptions Literal Mod Mul NEQ National Neg Not Null
    NullSafeEQ NullSafeNEQ Offset Operator Order Ordered Overlaps Paren Pivot PivotAlias PositionalColumn PropertyEQ
    Qualify RawString RespectNulls Rollup Select SimilarTo Slice Star Sub Subquery Table TableAlias TableSample Tuple
    Unary UnicodeString Union UnpivotColumns Values Var When Where Window WindowSpec With WithinGroup Xor"""
)

# Classes of sqlglot's Func: typed functions, and the expressions it derives from them (CASE, CAST, AND...).
FUNCTIONS: Final = _words(
    """Abs Acos Acosh And AnyValue Apply ApproxDistinct ApproxQuantile ApproxQuantiles ApproxTopK ArgMax ArgMin Array
    ArrayAgg ArrayAll ArrayAny ArrayAppend ArrayCompact ArrayConcat ArrayConcatAgg ArrayContainedBy ArrayContains
    ArrayContainsAll ArrayDistinct ArrayExcept ArrayFilter ArrayFirst ArrayInsert ArrayIntersect ArrayLast ArrayMax
    ArrayMin ArrayOverlaps ArrayPosition ArrayPrepend ArrayRemove ArrayReverse ArraySize ArraySlice ArraySort ArraySum
    ArrayToString ArrayUniqueAgg ArraysZip Ascii Asin Asinh Atan Atan2 Atanh Avg Base64DecodeBinary Base64DecodeString
    Base64Encode BitLength BitwiseAndAgg BitwiseCount BitwiseOrAgg BitwiseXorAgg Booland Boolnot Boolor BoolxorAgg
    ByteLength Case Cast CastToStrType Cbrt Ceil Chr Coalesce CodePointsToBytes CodePointsToString Collate Columns
    Concat ConcatWs Contains Convert ConvertTimezone Corr Cos Cosh CosineDistance Cot Coth Count CountIf CovarPop
    CovarSamp Csc Csch CumeDist CurrentDate CurrentDatetime CurrentTime CurrentTimestamp Date DateAdd DateBin DateDiff
    DateFromParts DateFromUnixDate DateStrToDate DateSub DateToDateStr DateToDi DateTrunc Datetime DatetimeAdd
    DatetimeDiff DatetimeSub DatetimeTrunc Day DayOfMonth DayOfWeek DayOfWeekIso DayOfYear Dayname Decode Degrees
    DenseRank DiToDate DotProduct Encode EndsWith EqualNull EuclideanDistance Exists Exp Explode
    ExplodingGenerateSeries Extract Factorial FarmFingerprint First FirstValue Flatten Floor Format FromBase
    FromBase32 FromBase64 GenerateDateArray GenerateSeries GenerateTimestampArray Getbit Greatest GroupConcat Grouping
    GroupingId Hex Hll Hour If Initcap Inline IsArray IsAscii IsInf IsNan IsNullValue JSONArray JSONArrayAgg
    JSONArrayContains JSONBool JSONExists JSONExtract JSONExtractArray JSONExtractScalar JSONFormat JSONKeys JSONObject
    JSONObjectAgg JSONRemove JSONSet JSONStripNulls JSONType JSONValueArray JarowinklerSimilarity JustifyDays
    JustifyHours JustifyInterval Kurtosis Lag Last LastDay LastValue LaxBool LaxFloat64 LaxInt64 LaxString Lead Least
    Left Length Levenshtein List Ln Localtime Localtimestamp Log LogicalAnd LogicalOr Lower LowerHex MD5 MD5Digest
    MD5NumberLower64 MD5NumberUpper64 MakeInterval ManhattanDistance Map MapCat MapContainsKey MapFromEntries MapKeys
    MapSize Max Median Min Minute Mode Month Monthname MonthsBetween Nanvl Normalize NthValue Ntile Nullif NumberToStr
    Nvl2 ObjectAgg Or Overlay Pad ParseBignumeric ParseDatetime ParseJSON ParseNumeric ParseTime PercentRank
    PercentileCont PercentileDisc Pi Posexplode Pow Quantile Quarter Radians Rand RangeBucket Rank Reduce RegexpCount
    RegexpExtract RegexpExtractAll RegexpFullMatch RegexpILike RegexpInstr RegexpLike RegexpReplace RegexpSplit
    RegexpSubstr RegrAvgx RegrAvgy RegrCount RegrIntercept RegrR2 RegrSlope RegrSxx RegrSxy RegrSyy RegrValx RegrValy
    Repeat Replace Reverse Right Rint Round RowNumber SHA SHA1Digest SHA2 SHA2Digest SafeAdd
    SafeConvertBytesToString SafeDivide SafeFunc SafeMultiply SafeNegate SafeSubtract Sec Sech Second Sign Sin Sinh
    Skewness Soundex Space Split SplitPart Sqrt StartsWith Stddev StddevPop StddevSamp StrPosition StrToDate StrToTime
    StrToUnix String StringToArray Struct StructExtract Stuff Substring Sum Tan Tanh Time TimeAdd TimeDiff
    TimeFromParts TimeStrToDate TimeStrToTime TimeStrToUnix TimeSub TimeToStr TimeToUnix TimeTrunc Timestamp
    TimestampAdd TimestampDiff TimestampFromParts TimestampSub TimestampTrunc ToArray ToBase32 ToBase64 ToBinary
    ToBoolean ToChar ToCodePoints ToDays ToDouble ToMap ToNumber Transform Translate Trim Trunc Try TryCast
    TsOrDiToDi TsOrDsAdd TsOrDsDiff TsOrDsToDate TsOrDsToDateStr TsOrDsToDatetime TsOrDsToTime TsOrDsToTimestamp Typeof
    Unhex Unicode UnixDate UnixMicros UnixMillis UnixSeconds UnixToStr UnixToTime UnixToTimeStr Unnest Upper UtcDate
    UtcTime UtcTimestamp Uuid Variance VariancePop Week WeekOfYear WeekStart WidthBucket Xor Year YearOfWeek
    YearOfWeekIso"""
)

# Functions without a class of their own in sqlglot: DuckDB's and BigQuery's, in lower case.
NAMED_FUNCTIONS: Final = _words(
    """add age array_aggr array_aggregate array_apply array_cat array_concat array_cosine_distance
    array_cosine_similarity array_cross_product array_distance array_distinct array_dot_product array_extract
    array_first_n array_grade_up array_has array_has_all array_has_any array_indexof array_inner_product
    array_intersect array_length array_negative_inner_product array_pop_back array_pop_front array_position
    array_push_back array_push_front array_reduce array_resize array_reverse array_reverse_sort array_select array_slice
    array_sort array_to_json array_to_string array_transform array_unique array_value array_where array_zip base64 bin
    bit_count bit_length bit_position bitstring bitstring_agg bool_and bool_or cardinality century char_length
    character_length combine concat count_star countif count_if date_add date_diff date_part date_sub date_trunc
    datediff datepart datesub datetrunc dayofmonth days_in_month decade divide damerau_levenshtein editdist3 element_at
    encode entropy enum_code enum_first enum_last enum_range epoch epoch_ms epoch_ns epoch_us equi_width_bins era even
    factorial favg fdiv filter flatten fmod format formatreadabledecimalsize formatreadablesize format_bytes
    from_base64 from_binary from_hex from_json from_json_strict fsum gamma gcd generate_subscripts geomean
    geometric_mean get_bit get_current_timestamp grade_up greatest_common_divisor hamming hash histogram histogram_exact
    ieee_divide ifnull ilike_escape instr isfinite isinf isnan isnull isodow isoyear jaccard jaro_similarity
    jaro_winkler_similarity json json_array json_array_length json_contains json_exists json_extract_path
    json_extract_path_text json_extract_string json_group_array json_group_object json_group_structure json_keys
    json_merge_patch json_object json_pretty json_quote json_structure json_transform json_transform_strict json_type
    json_valid json_value julian kahan_sum kurtosis_pop last_day lcase lcm least_common_multiple left_grapheme
    len length_grapheme lgamma like_escape list_aggr list_aggregate list_any_value list_append list_apply
    list_approx_count_distinct list_avg list_bit_and list_bit_or list_bit_xor list_bool_and list_bool_or list_cat
    list_concat list_contains list_cosine_distance list_cosine_similarity list_count list_distance list_distinct
    list_dot_product list_element list_entropy list_extract list_filter list_first list_grade_up list_has list_has_all
    list_has_any list_histogram list_indexof list_inner_product list_intersect list_kurtosis list_last list_mad
    list_max list_median list_min list_mode list_negative_inner_product list_pack list_position list_prepend
    list_product list_reduce list_resize list_reverse list_reverse_sort list_select list_sem list_skewness list_slice
    list_sort list_stddev_pop list_stddev_samp list_string_agg list_sum list_transform list_unique list_value
    list_var_pop list_var_samp list_where list_zip listagg log10 log2 mad make_date make_time make_timestamp
    make_timestamp_ms make_timestamp_ns make_timestamptz map map_concat map_contains map_contains_entry
    map_contains_value map_entries map_extract map_extract_value map_from_entries map_values md5_number microsecond
    millennium millisecond mismatches multiply nanosecond nextafter nfc_normalize not_ilike_escape not_like_escape now
    octet_length ord parse_dirname parse_dirpath parse_filename parse_path position prefix printf product
    quantile_cont quantile_disc regexp_escape regexp_matches regexp_split_to_array regexp_split_to_table
    reservoir_quantile right_grapheme round_even roundbankers row row_to_json safe_divide safe_add safe_subtract
    safe_multiply safe_negate sem set_bit signbit split_part str_split str_split_regex string_agg string_split
    string_split_regex string_to_array strip_accents strlen strpos struct_concat struct_contains struct_extract_at
    struct_has struct_indexof struct_insert struct_keys struct_pack struct_position struct_update struct_values
    substring_grapheme subtract sum_no_overflow sumkahan suffix time_bucket timezone timezone_hour timezone_minute
    to_base to_binary to_centuries to_days to_decades to_hex to_hours to_json to_microseconds to_millennia
    to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years today trunc try_strptime
    ucase unbin union_extract union_tag union_value url_decode url_encode variant_typeof wavg weekday weighted_avg xor
    yearweek arbitrary approx_top_k arg_max arg_max_null arg_min arg_min_null argmax argmin max_by min_by
    alias error bar
    array_reverse array_to_string bit_and bit_or bit_xor date datetime datetime_add datetime_diff datetime_sub
    datetime_trunc time_add time_diff time_sub time_trunc timestamp_add timestamp_diff timestamp_sub timestamp_trunc
    format_date format_datetime format_time format_timestamp parse_date parse_datetime parse_time parse_timestamp
    normalize_and_casefold regexp_contains regexp_instr safe_cast safe_convert_bytes_to_string safe_offset safe_ordinal
    offset ordinal unix_date unix_seconds unix_millis unix_micros timestamp_seconds timestamp_millis timestamp_micros
    date_from_unix_date extract_array json_query json_query_array json_value_array json_extract_array
    json_extract_scalar json_extract_string_array to_json_string lax_string string bool int64 float64 logical_and
    logical_or approx_count_distinct approx_quantiles approx_top_count approx_top_sum corr ends_with starts_with
    contains_substr code_points_to_string to_code_points array_concat_agg generate_array generate_date_array
    generate_timestamp_array generate_uuid div mod pow sqrt rand array_agg offsets struct any_value"""
)

# What may stand in FROM as a function: class names, or lower-case names for those without a class.
TABLE_FUNCTIONS: Final = _words("Unnest Explode GenerateSeries unnest range generate_series generate_subscripts")

_EXTERNAL: Final = re.compile(r"[./\\:*?\[\]{}<>|'`\x00-\x1f]")
_SYSTEM_PREFIXES: Final = ("duckdb_", "pragma_", "sqlite_", "pg_")
_SYSTEM_SCHEMAS: Final = frozenset({"information_schema", "pg_catalog", "system", "temp"})


def looks_external(parts: Sequence[str]) -> bool:
    """True for a name that DuckDB's replacement scans could take for a file, a glob or an address."""
    return any(_EXTERNAL.search(part) for part in parts)


def is_system_table(parts: Sequence[str]) -> bool:
    """True for a catalog relation. ``parts`` are lower case; ``parts[-1]`` is the table's own name."""
    return parts[-1].startswith(_SYSTEM_PREFIXES) or any(part in _SYSTEM_SCHEMAS for part in parts[:-1])

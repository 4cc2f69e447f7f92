# ruff: noqa: E501 - the same sentence in two languages stands on one line
"""The SQL concepts a problem can practise: what they are called, a hint that names the tool, and a tip worth a minute."""

from __future__ import annotations

from dataclasses import dataclass

from services.generator.offline.words import Text


@dataclass(frozen=True)
class Concept:
    """`hint`: which tool helps, without code. `tip`: two or three sentences for the tip of the day."""

    category: str
    name: Text
    hint: Text
    tip: Text


_TABLE = """
filter-equality|filtering|같음 조건|Equality filter|WHERE에 열과 값을 견주는 조건을 두세요.|Compare the column with the value in WHERE.|문자열 비교는 대소문자와 앞뒤 공백까지 따집니다. 값이 정말 그렇게 적혀 있는지 DISTINCT로 먼저 확인하세요.|String comparison minds case and surrounding blanks. Look at the DISTINCT values before you trust a filter.
filter-inequality|filtering|같지 않음 조건|Inequality filter|어떤 값을 제외하는 조건에서 NULL이 어떻게 되는지 생각해 보세요.|Think about what a "not equal" test does with NULL.|`<>`는 NULL 행도 함께 버립니다. NULL을 남기려면 IS DISTINCT FROM을 쓰거나 OR ... IS NULL을 더하세요.|`<>` drops rows with NULL too. Use IS DISTINCT FROM, or add OR ... IS NULL, when they should stay.
filter-in-list|filtering|목록 조건|IN list|여러 값 중 하나인지는 OR를 늘어놓지 않고도 검사할 수 있습니다.|Membership in a short list needs no chain of ORs.|IN은 OR를 줄여 쓴 것입니다. 다만 NOT IN 목록에 NULL이 하나라도 있으면 아무 행도 나오지 않습니다.|IN is short for OR. Beware: NOT IN with a single NULL in the list returns nothing.
filter-comparison|filtering|크기 비교|Comparison|경곗값이 포함되는지 문장을 다시 읽어 보세요.|Read again whether the boundary itself belongs.|'이상'과 '초과'는 다릅니다. 경계에 걸친 값을 하나 골라 결과에 있어야 하는지 직접 확인해 보세요.|"At least" and "more than" differ by one row. Pick a value on the boundary and check whether it should be in.
filter-range|filtering|범위 조건|Range filter|양 끝을 모두 포함하는 범위 연산자가 있습니다.|There is an operator for a range that includes both ends.|BETWEEN은 양 끝을 포함합니다. 시각 열에 쓰면 마지막 날 자정 이후가 빠지니 주의하세요.|BETWEEN includes both ends. On a timestamp it loses everything after midnight of the last day.
date-range|dates|기간 조건|Date range|시각이 들어 있는 열이라면 마지막 날의 밤까지 들어가는지 살피세요.|If the column holds a time of day, make sure the last evening is included.|기간은 '시작 이상, 다음 날 미만'으로 쓰면 시각이 있어도 하루가 온전히 들어갑니다.|Write a period as "from the start, before the day after the end": whole days fit, whatever the time of day.
null-handling|nulls|NULL 다루기|Handling NULL|NULL은 =로 찾을 수 없습니다.|NULL cannot be found with `=`.|NULL과의 비교는 참도 거짓도 아닌 '알 수 없음'입니다. 그래서 IS NULL이 따로 있습니다.|A comparison with NULL is neither true nor false but unknown. That is why IS NULL exists.
coalesce|nulls|기본값 채우기|Default for NULL|NULL 대신 쓸 값을 주는 함수를 찾아보세요.|Look for the function that puts a value in place of NULL.|COALESCE는 첫 번째 NULL 아닌 값을 돌려줍니다. 합계의 NULL을 0으로 바꿀 때 집계 바깥에 두세요.|COALESCE returns its first value that is not NULL. To turn an empty sum into 0, put it outside the aggregate.
boolean-logic|filtering|참거짓 조건|Boolean logic|참거짓 열은 그 자체가 조건이 됩니다.|A boolean column is a condition by itself.|AND는 OR보다 먼저 묶입니다. 섞어 쓸 때는 괄호가 가장 싼 보험입니다.|AND binds tighter than OR. Parentheses are the cheapest insurance when you mix them.
pattern-matching|filtering|패턴 찾기|Pattern matching|LIKE에서 아무 글자나 몇 개든 뜻하는 기호를 떠올리세요.|Recall the LIKE wildcard for any run of characters.|LIKE 'a%'는 앞이 고정되어 색인을 쓸 수 있지만 '%a%'는 그렇지 못합니다.|LIKE 'a%' can use an index because its start is fixed; '%a%' cannot.
projection|basics|열 고르기|Projection|필요한 열만 정해진 순서로 적으세요.|Name just the columns asked for, in the order asked for.|SELECT *는 탐색할 때만 쓰세요. 열이 늘어나면 결과의 뜻도 바뀝니다.|Keep SELECT * for exploring. When a column is added, the meaning of your result changes.
order-by|basics|정렬|Ordering|동점일 때의 다음 정렬 기준까지 적으세요.|Write the tie-breaker too.|동점을 가르는 열이 없으면 같은 쿼리도 매번 다른 순서를 낼 수 있습니다.|Without a tie-breaker the same query may return another order every time.
limit|basics|상위 몇 개|Limiting rows|정렬한 다음 자르세요.|Sort first, then cut.|ORDER BY 없는 LIMIT은 아무 행이나 돌려줘도 틀리지 않습니다.|LIMIT without ORDER BY may return any rows at all.
distinct|basics|중복 없애기|Distinct values|결과에서 같은 행을 하나로 만드는 낱말이 있습니다.|One word makes equal rows of the result one.|DISTINCT는 한 열이 아니라 SELECT한 행 전체에 걸립니다.|DISTINCT applies to the whole selected row, not to one column.
aggregate-count|aggregation|행 세기|Counting rows|행을 세는 것과 NULL 아닌 값을 세는 것은 다릅니다.|Counting rows differs from counting values that are not NULL.|COUNT(*)는 행을, COUNT(열)은 NULL이 아닌 값을 셉니다.|COUNT(*) counts rows; COUNT(column) counts values that are not NULL.
count-distinct|aggregation|서로 다른 값 세기|Counting distinct values|COUNT 안에서 중복을 없앨 수 있습니다.|Duplicates can be removed inside COUNT.|조인 뒤에 수를 셀 때는 행이 불어났는지 먼저 의심하세요. COUNT(DISTINCT 키)가 답일 때가 많습니다.|After a join, suspect that rows multiplied before you count. COUNT(DISTINCT key) is often the answer.
aggregate-sum|aggregation|합계|Sum|더할 값이 없는 그룹의 합계가 무엇인지 생각해 보세요.|Consider what the sum of no values is.|값이 하나도 없을 때 SUM은 0이 아니라 NULL입니다.|The SUM of no values is NULL, not 0.
aggregate-average|aggregation|평균|Average|평균은 NULL을 어떻게 다루는지 확인하세요.|Check how an average treats NULL.|AVG는 NULL을 분모에서도 뺍니다. NULL을 0으로 보아야 한다면 먼저 COALESCE를 쓰세요.|AVG leaves NULLs out of the divisor as well. Use COALESCE first if they should count as 0.
aggregate-min-max|aggregation|최댓값과 최솟값|Minimum and maximum|가장 크거나 작은 값 하나만 필요하면 정렬은 필요 없습니다.|One extreme value needs no sorting.|MAX는 값을 줄 뿐 그 행을 주지는 않습니다. 행이 필요하면 순위 함수를 쓰세요.|MAX returns the value, not its row. Use a ranking function when you need the row.
rounding|aggregation|반올림|Rounding|반올림은 계산이 끝난 뒤 한 번만 하세요.|Round once, after the calculation.|중간에 반올림하면 오차가 쌓입니다. 보여 주기 직전에 하세요.|Rounding half-way lets errors add up. Do it last.
group-by|aggregation|그룹으로 묶기|Grouping|결과의 한 행이 될 열로 묶으세요.|Group by what one row of the result stands for.|GROUP BY에 없는 열은 집계 함수 안에만 둘 수 있습니다. 오류가 나면 결과의 단위를 다시 정하라는 뜻입니다.|A column that is not grouped may stand only inside an aggregate. The error asks what one row of your result is.
having|aggregation|그룹 거르기|Filtering groups|집계한 값에 거는 조건은 WHERE에 둘 수 없습니다.|A condition on an aggregate has no place in WHERE.|WHERE는 묶기 전에, HAVING은 묶은 뒤에 거릅니다.|WHERE filters before grouping, HAVING after.
conditional-aggregation|aggregation|조건부 집계|Conditional aggregation|조건에 맞는 행만 세는 집계를 나란히 놓아 보세요.|Put aggregates that count only matching rows side by side.|COUNT(*) FILTER (WHERE ...) 하나면 테이블을 여러 번 읽지 않고 피벗을 만들 수 있습니다.|COUNT(*) FILTER (WHERE ...) builds a pivot in one pass over the table.
percentage|aggregation|비율|Percentages|정수끼리의 나눗셈과 0으로 나누는 경우를 조심하세요.|Mind integer division and division by zero.|비율에는 언제나 분모가 무엇인지 함께 적으세요. 같은 분자도 분모에 따라 다른 이야기가 됩니다.|Always say what the denominator is. The same numerator tells another story over another one.
date-trunc|dates|날짜 자르기|Truncating dates|시각을 날, 주, 달의 시작으로 맞추는 함수를 쓰세요.|Use the function that moves a moment to the start of its day, week or month.|DATE_TRUNC('week')는 월요일로 맞춥니다. 일요일에 시작하는 달력과 견줄 때 주의하세요.|DATE_TRUNC('week') goes to Monday. Mind this beside a calendar that starts on Sunday.
date-part|dates|날짜의 부분|Parts of a date|날짜에서 시나 요일만 꺼내는 함수를 쓰세요.|Use the function that takes the hour or the weekday out of a date.|요일 번호는 엔진마다 다릅니다. ISO 번호는 월요일이 1, 일요일이 7입니다.|Weekday numbers differ between engines. In ISO Monday is 1 and Sunday is 7.
date-difference|dates|시간 차이|Time differences|두 시각의 차이를 원하는 단위로 얻는 함수를 찾아보세요.|Look for the function that gives a difference in the unit you want.|DATE_DIFF는 지난 경계의 수를 셉니다. 23:59와 00:01 사이는 하루로 셉니다.|DATE_DIFF counts crossed boundaries: 23:59 to 00:01 is one day.
inner-join|joins|내부 조인|Inner join|두 테이블을 잇는 열을 찾아 조인하세요.|Find the column that links the tables and join on it.|조인하기 전에 '오른쪽에 짝이 몇 개 있는가'를 물으세요. 둘 이상이면 왼쪽 값이 되풀이됩니다.|Before a join ask how many partners each row has. Two or more repeat the left side's values.
left-join|joins|외부 조인|Left join|짝이 없는 행도 결과에 남아야 합니다.|Rows without a partner must stay in the result.|LEFT JOIN 뒤 오른쪽 열에 건 WHERE 조건은 내부 조인과 같아집니다. 조건을 ON으로 옮기세요.|A WHERE condition on the right side turns a LEFT JOIN into an inner join. Move it into ON.
anti-join|joins|짝 없는 행|Anti join|짝이 '없다'는 것을 검사하는 방법을 떠올리세요.|Recall how to test that there is no partner.|NOT IN보다 NOT EXISTS가 안전합니다. 하위 쿼리에 NULL이 있어도 흔들리지 않습니다.|NOT EXISTS is safer than NOT IN: a NULL in the subquery does not disturb it.
semi-join|joins|짝 있는 행|Semi join|짝이 있는지만 알면 되니 행이 불어나지 않게 하세요.|You only need to know that a partner exists; do not multiply rows.|EXISTS는 짝을 하나만 찾으면 멈추고 행을 늘리지 않습니다.|EXISTS stops at the first partner and never multiplies rows.
self-join|joins|자기 조인|Self join|같은 테이블을 별칭 두 개로 부르세요.|Call the same table by two aliases.|자기 조인에서는 별칭이 역할의 이름입니다. a, b보다 child, parent가 낫습니다.|In a self join aliases name roles: child and parent say more than a and b.
multi-join|joins|여러 테이블 조인|Joining several tables|테이블을 하나씩 이어 가며 행 수가 어떻게 변하는지 보세요.|Join one table at a time and watch how the number of rows changes.|조인이 셋을 넘으면 한 단계씩 COUNT(*)를 확인하며 쌓으세요.|With more than three joins, build them one by one and check COUNT(*) after each.
union|sets|합치기|Union|모양이 같은 두 결과를 위아래로 붙이세요.|Stack two results of the same shape.|UNION은 중복을 없애고 UNION ALL은 그대로 둡니다. 대개는 UNION ALL이 맞고 빠릅니다.|UNION removes duplicates, UNION ALL keeps them. Mostly the latter is right, and faster.
set-operation|sets|집합 연산|Set operations|두 키 집합의 교집합이나 차집합을 구하는 연산자가 있습니다.|There are operators for the intersection and the difference of two sets of keys.|INTERSECT와 EXCEPT는 NULL끼리도 같다고 봅니다.|INTERSECT and EXCEPT treat NULLs as equal.
subquery-scalar|subqueries|스칼라 하위 쿼리|Scalar subquery|비교할 기준값을 괄호 안의 쿼리로 먼저 구하세요.|Compute the value to compare with in a query in parentheses.|스칼라 하위 쿼리는 한 행 한 열이어야 합니다. 비어 있으면 NULL이 됩니다.|A scalar subquery must yield one row and one column. Empty, it is NULL.
subquery-correlated|subqueries|상관 하위 쿼리|Correlated subquery|하위 쿼리 안에서 바깥 행의 값을 쓸 수 있습니다.|A subquery can use values of the outer row.|상관 하위 쿼리는 윈도 함수로 바꾸면 대개 읽기 쉽고 빠릅니다.|A correlated subquery usually reads better and runs faster as a window function.
cte|subqueries|단계 나누기|Common table expressions|먼저 중간 결과를 만들고 그 위에 다시 집계하세요.|Build an intermediate result first, then aggregate it again.|WITH 절의 이름은 문서입니다. 단계마다 '한 행이 무엇인가'가 드러나게 지으세요.|Names in WITH are documentation. Let each say what one row of that step is.
window-rank|windows|순위|Ranking|그룹마다 순위를 매기는 윈도 함수를 쓰세요.|Use the window function that ranks within a group.|ROW_NUMBER는 동점에도 다른 번호를, RANK는 같은 번호를 주고 다음을 건너뜁니다.|ROW_NUMBER gives ties different numbers; RANK gives them the same and skips the next.
window-running-total|windows|누적 합|Running total|정렬된 윈도 위에서 합을 구하면 누적이 됩니다.|A sum over an ordered window accumulates.|윈도의 기본 프레임은 RANGE라서 동점을 한꺼번에 더합니다. 한 행씩 쌓으려면 ROWS를 적으세요.|The default frame is RANGE and adds ties at once. Write ROWS to go row by row.
window-moving-average|windows|이동 평균|Moving average|윈도에 앞의 몇 행까지 볼지 프레임을 적으세요.|Give the window a frame that says how many rows back it looks.|행 몇 개와 날 며칠은 다릅니다. 빠진 날이 있으면 ROWS 프레임은 더 먼 날까지 봅니다.|Rows are not days. With missing days a ROWS frame reaches further back.
window-lag|windows|앞 행과 비교|Previous row|바로 앞 행의 값을 가져오는 윈도 함수를 쓰세요.|Use the window function that fetches the previous row's value.|LAG의 첫 행은 NULL입니다. 그 NULL이 결과에서 무엇을 뜻하는지 정하세요.|LAG is NULL on the first row. Decide what that NULL means in your result.
window-share|windows|전체 대비 비중|Share of total|전체 합을 각 행 옆에 놓는 빈 윈도를 쓰세요.|An empty window puts the grand total beside every row.|SUM(SUM(x)) OVER ()는 그룹 합의 총합입니다. 집계가 먼저, 윈도가 나중입니다.|SUM(SUM(x)) OVER () is the total of group sums: aggregates come first, windows after.
window-ntile|windows|등분|Buckets|정렬한 행을 같은 크기의 구간으로 나누는 함수가 있습니다.|There is a function that cuts ordered rows into buckets of equal size.|NTILE은 나머지 행을 앞 구간부터 하나씩 더 줍니다.|NTILE hands the remaining rows to the first buckets, one each.
top-n-per-group|windows|그룹별 상위 N|Top N per group|그룹 안에서 순위를 매긴 다음 순위로 거르세요.|Rank within each group, then filter by rank.|윈도 함수는 WHERE보다 나중에 계산됩니다. 순위로 거르려면 한 단계 감싸거나 QUALIFY를 쓰세요.|Window functions come after WHERE. Wrap them in a step, or use QUALIFY, to filter by rank.
deduplication|data-quality|중복 제거|De-duplication|무엇이 같으면 같은 것인지, 그중 무엇을 남길지 정하세요.|Decide what makes two rows the same, and which one stays.|중복을 없앨 때는 남길 행의 기준을 적으세요. DISTINCT는 그 기준을 말해 주지 않습니다.|When you de-duplicate, say which row stays. DISTINCT does not say it.
duplicate-detection|data-quality|중복 찾기|Finding duplicates|같아야 할 열로 묶어 둘 이상인 그룹을 찾으세요.|Group by what should be unique and look for groups of two or more.|데이터를 받으면 먼저 키로 묶어 HAVING COUNT(*) > 1을 돌려 보세요.|When data arrives, first group by its key HAVING COUNT(*) > 1.
funnel|analytics|퍼널|Funnel|단계마다 사람별 시각을 구한 뒤 순서를 지킨 사람만 세세요.|Get each person's moment for every step, then count only those who kept the order.|퍼널은 '한 번이라도 했다'와 '순서대로 했다'를 가려야 합니다. 두 정의의 차이가 곧 질문입니다.|A funnel must tell "ever did" from "did in order". The difference between them is the question.
cohort|analytics|코호트|Cohort|처음 나타난 시기로 사람을 묶으세요.|Group people by when they first appeared.|코호트의 크기를 함께 보여 주지 않는 비율은 믿지 마세요.|Do not trust a cohort's percentage without its size.
retention|analytics|재방문|Retention|처음과 다음 활동의 간격을 기간 단위로 재세요.|Measure the distance from the first activity to the later ones in whole periods.|재방문율은 '정확히 N주째'와 'N주 안에'가 전혀 다릅니다.|Retention "in week N" and "within N weeks" are different figures.
sessionization|analytics|세션 나누기|Sessionization|앞 활동과의 간격이 기준을 넘으면 새 묶음이 시작됩니다.|A new group starts where the gap to the previous activity exceeds the limit.|간격이 넘는 곳에 1을 두고 누적 합을 구하면 그것이 세션 번호입니다.|Put a 1 where the gap is too long; its running total is the session number.
gaps-and-islands|analytics|연속 구간|Gaps and islands|날짜에서 순번을 빼면 연속된 날끼리 같은 값이 됩니다.|A date minus its running number is the same for consecutive days.|연속 구간을 찾기 전에 하루에 여러 행이 있는지 보고 먼저 하루 한 행으로 만드세요.|Before you look for streaks, reduce the data to one row a day.
period-comparison|analytics|기간 비교|Comparing periods|두 기간의 집계를 한 행에 나란히 두세요.|Put the aggregates of both periods side by side in one row.|기간을 비교할 때는 길이와 요일 구성을 맞추세요.|When you compare periods, match their length and their weekdays.
point-in-time|analytics|시점 상태|State at a moment|그 시점에 시작했고 아직 끝나지 않은 행을 고르세요.|Keep rows that had begun by then and had not yet ended.|종료일의 NULL은 '아직'입니다. 기간이 겹치는지는 '시작 ≤ 끝, 끝 ≥ 시작'으로 검사합니다.|A NULL end means "not yet". Two periods overlap when each starts no later than the other ends.
median|aggregation|중앙값|Median|가운데 값을 주는 집계 함수를 쓰세요.|Use the aggregate that returns the middle value.|한쪽으로 치우친 금액에는 평균보다 중앙값이 정직합니다.|For skewed amounts the median is more honest than the average.
""".strip()


def _concept(line: str) -> tuple[str, Concept]:
    tag, category, ko, en, hint_ko, hint_en, tip_ko, tip_en = line.split("|")
    return tag, Concept(category, Text(ko, en), Text(hint_ko, hint_en), Text(tip_ko, tip_en))


CONCEPTS: dict[str, Concept] = dict(_concept(line) for line in _TABLE.splitlines())

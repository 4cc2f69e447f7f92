"""Problems, hints and tips without a model: ``generate.generate``, ``problem.lucky_answer``, ``tips.tip_of_the_day``.

Nothing is imported here: the service needs only the tips, and starts without the SQL parser that composing needs.
"""

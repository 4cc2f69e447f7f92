"""Problems made by models, and checked like any other."""

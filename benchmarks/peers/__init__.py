"""Other people's flow libraries, for comparison: the same models, built as each library's users build them."""

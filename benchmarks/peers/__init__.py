"""The same models in other flow libraries, built as each library's users build them."""
